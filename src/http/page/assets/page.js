// Draws the plots, and reads the page again every few seconds. Without this script every page is complete,
// except for the drawings.
"use strict";

(() => {
  const REFRESH_MS = 5000;
  const HISTORY_MS = 10000;
  // Time that a plot shows at least, in seconds.
  const SHOWN_MIN_S = 900;
  const main = document.getElementById("main");

  // ---- Plots ----

  const plots = [];
  let history = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The columns with an empty sample in each time without samples, so that no line crosses it.
  function withGaps(columns) {
    const time = columns[0];
    const out = columns.map(() => []);
    time.forEach((at, index) => {
      if (index > 0 && at - time[index - 1] > 3 * history.interval_s) {
        out.forEach((column, number) => column.push(number === 0 ? at - history.interval_s : null));
      }
      out.forEach((column, number) => column.push(columns[number][index]));
    });
    return out;
  }

  // The times without delivery: those of the samples, and half an interval around them.
  function outages() {
    const half = history.interval_s / 2;
    const found = [];
    history.database.forEach((state, index) => {
      if (state === null || state === "delivering") return;
      const at = history.time[index];
      const last = found.at(-1);
      if (last && at - half <= last[1] + half) last[1] = at + half;
      else found.push([at - half, at + half]);
    });
    return found;
  }

  // Shades the times without delivery.
  function shade(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    outages().forEach(([from, until]) => {
      const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
      const right = Math.min(plot.valToPos(until, "x", true), bbox.left + bbox.width);
      if (right <= left) return;
      ctx.fillStyle = color("--plot-away");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.fillStyle = color("--bad");
      ctx.fillRect(left, bbox.top, right - left, 3 * devicePixelRatio);
    });
    ctx.restore();
  }

  function number(value) {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return String(+value.toPrecision(3));
  }

  const timeOfDay = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  function options(element, names, width) {
    const unit = element.dataset.unit;
    const suffix = unit && (unit.startsWith("/") ? unit : ` ${unit}`);
    const axis = {
      stroke: color("--quiet"),
      grid: { stroke: color("--plot-grid"), width: 1 },
      ticks: { stroke: color("--plot-grid"), width: 1 },
    };
    const lines = [
      { stroke: color("--plot"), width: 2 },
      { stroke: color("--plot-second"), width: 2, dash: [6, 4] },
    ];
    return {
      width,
      height: 210,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false },
      scales: {
        x: { range: (_, low, high) => [Math.min(low, high - SHOWN_MIN_S), high] },
        y: { range: (_, low, high) => [0, unit === "%" ? 100 : Math.max(1, high ?? 1) * 1.05] },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(timeOfDay) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => number(tick) + suffix) },
      ],
      series: [{}, ...names.map((label, index) => ({ label, points: { show: false }, ...lines[index] }))],
      hooks: { drawClear: [shade], setCursor: [(plot) => readout(element, names, plot)] },
    };
  }

  // The values at the pointer, below the plot.
  function readout(element, names, plot) {
    const line = element.nextElementSibling;
    const index = plot.cursor.idx;
    if (!line) return;
    if (index === null || index === undefined) {
      line.textContent = key(names);
      return;
    }
    const at = new Date(plot.data[0][index] * 1000).toISOString().slice(11, 19);
    const values = names.map((name, series) => {
      const value = plot.data[series + 1][index];
      return `${name} ${value === null ? "unknown" : number(value) + " " + element.dataset.unit}`;
    });
    line.textContent = `${at} UTC: ${values.join(", ")}`;
  }

  const key = (names) =>
    names.length > 1 ? `UTC; ${names[0]}: solid line, ${names[1]}: dashed line` : "UTC";

  function discard({ element, plot }) {
    resizing.unobserve(element);
    plot.destroy();
    element.parentElement?.querySelector(".readout")?.remove();
  }

  function draw() {
    // Those of elements that are no longer in the page.
    plots.filter(({ element }) => !element.isConnected).forEach((gone) => {
      discard(gone);
      plots.splice(plots.indexOf(gone), 1);
    });
    if (typeof uPlot === "undefined" || !history || history.time.length === 0) return;
    const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
    document.querySelectorAll(".drawing").forEach((element) => {
      const columns = element.dataset.columns.split(",").map((name) => history[name]);
      const names = element.dataset.names.split(",").slice(0, columns.length);
      const data = withGaps([history.time, ...columns]);
      const known = plots.find((plot) => plot.element === element);
      if (known) {
        known.plot.setData(data);
        return;
      }
      const line = document.createElement("p");
      line.className = "quiet readout";
      line.setAttribute("aria-hidden", "true");
      line.textContent = key(names);
      element.after(line);
      const made = options(element, names, element.clientWidth);
      plots.push({ element, plot: new uPlot({ ...made, tzDate: utc }, data, element) });
      resizing.observe(element);
    });
  }

  const resizing = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const known = plots.find((plot) => plot.element === target);
      if (known && target.clientWidth > 0 && known.plot.width !== target.clientWidth) {
        known.plot.setSize({ width: target.clientWidth, height: known.plot.height });
      }
    }
  });

  function redraw() {
    plots.splice(0).forEach(discard);
    draw();
  }

  async function readHistory() {
    const source = document.querySelector("[data-history]");
    if (!source) return;
    const response = await fetch(source.dataset.history, { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    history = await response.json();
    draw();
  }

  // ---- Refresh ----

  // Makes one element like another one, and touches only what differs: the focus, the scroll positions, the
  // open details and the plots stay.
  function morph(from, to) {
    if (from.classList.contains("drawing")) {
      from.setAttribute("aria-label", to.getAttribute("aria-label"));
      return;
    }
    if (from.tagName === "FORM") return;
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const old = [...from.childNodes].filter((node) => !node.classList?.contains("readout"));
    const fresh = [...to.childNodes];
    fresh.forEach((node, index) => {
      const known = old[index];
      if (!known) {
        from.append(document.importNode(node, true));
      } else if (known.nodeType !== node.nodeType || known.nodeName !== node.nodeName) {
        known.replaceWith(document.importNode(node, true));
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        morph(known, node);
      } else if (known.nodeValue !== node.nodeValue) {
        known.nodeValue = node.nodeValue;
      }
    });
    old.slice(fresh.length).forEach((node) => node.remove());
  }

  const holder = document.getElementById("refresh");
  if (!holder || !main.hasAttribute("data-refresh")) return;

  let isPaused = false;
  let lastHistory = 0;
  let answered = Date.now();
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Pause updates";
  button.setAttribute("aria-pressed", "false");
  const status = document.createElement("span");
  const alarm = document.createElement("p");
  alarm.className = "notice bad";
  alarm.hidden = true;
  alarm.setAttribute("role", "alert");
  holder.append(status, button);
  main.before(alarm);
  const clock = (at) => new Date(at).toISOString().slice(11, 19) + " UTC";
  const show = () => {
    status.textContent = isPaused ? `Paused, values of ${clock(answered)}` : `Updated ${clock(answered)}`;
  };
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    show();
    if (!isPaused) refresh();
  });

  // Text that is selected, and a field that is typed into, are left alone.
  function isBusy() {
    const selection = document.getSelection();
    const isSelecting = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
    return isSelecting || document.activeElement?.matches("main select");
  }

  async function refresh() {
    if (isPaused || document.hidden || isBusy()) return;
    try {
      const response = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      const text = await response.text();
      const page = new DOMParser().parseFromString(text, "text/html");
      const fresh = page.getElementById("main");
      if (!fresh) throw new Error(`status ${response.status}`);
      if (isPaused) return;
      morph(main, fresh);
      draw();
      answered = Date.now();
      if (answered - lastHistory >= HISTORY_MS) {
        lastHistory = answered;
        await readHistory();
      }
      alarm.hidden = true;
      show();
    } catch (error) {
      const message = `No answer of the collector; the values are of ${clock(answered)}.`;
      if (alarm.textContent !== message) alarm.textContent = message;
      alarm.hidden = false;
    }
  }

  show();
  lastHistory = Date.now();
  readHistory().catch(() => {});
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
