// A walk through Holdfast's web page by keyboard alone: only Tab, Enter, Space and letters are pressed, and
// every element that is used must be reached with Tab and show that it has the focus.

// Maximum number of presses of Tab until an element must have the focus.
const TABS_MAX = 200;
// Simulated time in which a page that is not paused asks for new contents, in milliseconds.
const REFRESH_MS = 60_000;

// Presses Tab until the element has the focus. Complains once per element that shows no focus.
async function tabTo(page, target, name, complain) {
  for (let presses = 0; presses < TABS_MAX; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const isOutlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
      const isShown = box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0;
      const text = `${element.tagName} "${element.textContent.trim().slice(0, 40)}"`;
      // After the last element the browser's own frame has the focus.
      return { text, isVisible: element === document.body || (isShown && isOutlined) };
    });
    if (!focus.isVisible) complain('focus', `${focus.text} at ${page.url()} does not show the focus`);
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`${name} is not reached with ${TABS_MAX} presses of Tab at ${page.url()}`);
}

// Presses a key that leads to another page, and waits until it is loaded.
async function follow(page, key) {
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.keyboard.press(key)]);
}

function expect(isTrue, text, complain) {
  if (!isTrue) complain('flow', text);
}

async function skipLink({ page, url, complain }) {
  await page.goto(url, { waitUntil: 'load' });
  const skip = page.locator('a[href^="#"]').first();
  await page.keyboard.press('Tab');
  const isFirst = await skip.evaluate((element) => element === document.activeElement);
  expect(isFirst, 'the first element in the order of Tab is not the skip link', complain);
  // Enter on another element may lead away, and would interrupt the next step.
  if (!isFirst) return;
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  const isInside = await page.evaluate(() => document.activeElement.closest('main, footer') !== null);
  expect(isInside, 'after the skip link, Tab does not continue in the contents', complain);
}

async function sections({ page, url, complain }) {
  await page.goto(url, { waitUntil: 'load' });
  const names = await page.locator('header nav a').allTextContents();
  expect(names.length >= 6, `only ${names.length} sections: ${names.join(', ')}`, complain);
  for (const name of names) {
    const link = page.locator('header nav a', { hasText: name });
    await tabTo(page, link, `the link "${name}"`, complain);
    await follow(page, 'Enter');
    const marked = await page.locator('header nav a[aria-current="page"]').allTextContents();
    expect(marked.length === 1 && marked[0] === name, `"${name}" marks ${marked.join(', ')}`, complain);
    const headings = await page.locator('h1').count();
    expect(headings === 1, `"${name}" has ${headings} headings of level 1`, complain);
  }
  await page.goBack({ waitUntil: 'load' });
  const marked = await page.locator('header nav a[aria-current="page"]').textContent();
  expect(marked === names.at(-2), `back leads to "${marked}", not to "${names.at(-2)}"`, complain);
}

// The texts of a column of the first table, by the column's heading.
async function column(page, heading) {
  return page.locator('main table').first().evaluate((table, wanted) => {
    const heads = [...table.querySelectorAll('thead th')];
    const index = heads.findIndex((head) => head.textContent.trim().startsWith(wanted));
    return [...table.querySelectorAll('tbody tr')].map((row) => row.children[index]?.textContent.trim());
  }, heading);
}

async function filterAndSort({ page, url, complain }) {
  await page.goto(new URL('/peers', url).href, { waitUntil: 'load' });
  const all = await page.locator('main tbody tr').count();
  const text = (await column(page, 'Peer')).at(-1);
  const filter = page.locator('main form input[name="q"]');
  await tabTo(page, filter, 'the filter of the peers', complain);
  await page.keyboard.type(text);
  await follow(page, 'Enter');
  const rows = await page.locator('main tbody tr').allTextContents();
  const areRight = rows.length > 0 && rows.length < all && rows.every((row) => row.includes(text));
  expect(areRight, `the filter "${text}" leaves ${rows.length} of ${all} peers`, complain);
  await page.goBack({ waitUntil: 'load' });
  const after = await page.locator('main tbody tr').count();
  expect(after === all, `back from the filter leads to ${after} of ${all} peers`, complain);
  const orders = [];
  for (let press = 0; press < 2; press += 1) {
    const sort = page.locator('main thead a', { hasText: /^AS$/ });
    await tabTo(page, sort, 'the sort link of the column "AS"', complain);
    await follow(page, 'Enter');
    const head = page.locator('main thead th[aria-sort]');
    const numbers = (await column(page, 'AS')).map((number) => Number(number.replace(/\D/g, '')));
    const order = await head.getAttribute('aria-sort');
    const sign = order === 'descending' ? -1 : 1;
    const isSorted = numbers.every((one, index) => index === 0 || sign * (one - numbers[index - 1]) >= 0);
    expect(isSorted, `the peers are not sorted by AS, ${order}: ${numbers.join(', ')}`, complain);
    orders.push(order);
  }
  const isToggled = orders.includes('ascending') && orders.includes('descending');
  expect(isToggled, `two presses of the sort link give the orders ${orders.join(', ')}`, complain);
}

// Number of requests of the page while simulated time passes.
async function requestsMeanwhile(page) {
  let count = 0;
  const one = () => (count += 1);
  page.on('request', one);
  await page.clock.runFor(REFRESH_MS);
  page.off('request', one);
  return count;
}

async function pause({ page, url, complain }) {
  await page.clock.install();
  await page.goto(url, { waitUntil: 'load' });
  const moving = await requestsMeanwhile(page);
  expect(moving > 0, 'the page does not refresh itself', complain);
  const button = page.locator('header button');
  await tabTo(page, button, 'the pause button', complain);
  await page.keyboard.press('Enter');
  const isPressed = await button.getAttribute('aria-pressed');
  const hasFocus = await button.evaluate((element) => element === document.activeElement);
  expect(hasFocus && isPressed === 'true', `the pause button has aria-pressed="${isPressed}"`, complain);
  const resting = await requestsMeanwhile(page);
  expect(resting === 0, `a paused page sent ${resting} requests`, complain);
  await page.keyboard.press('Space');
  const resumed = await requestsMeanwhile(page);
  expect(resumed > 0, 'the page does not refresh itself after the pause', complain);
}

async function lookUp({ page, url, route, complain }) {
  await page.goto(new URL('/lookup', url).href, { waitUntil: 'load' });
  const prefix = page.locator('main form input[name="q"]').first();
  await tabTo(page, prefix, 'the input of a prefix', complain);
  await page.keyboard.type(route);
  await follow(page, 'Enter');
  const rows = await page.locator('main tbody tr').count();
  const text = await page.locator('main').textContent();
  expect(rows > 0 && text.includes(route), `the look-up of ${route} has ${rows} rows`, complain);
  await page.goBack({ waitUntil: 'load' });
  expect(new URL(page.url()).pathname === '/lookup', `back leads to ${page.url()}`, complain);
}

// Takes all steps; returns their names. Without a route, the look-up is left out.
export async function walk(page, url, route, complain) {
  const steps = [skipLink, sections, filterAndSort, ...(route ? [lookUp] : []), pause];
  for (const step of steps) {
    try {
      await step({ page, url, route, complain });
    } catch (error) {
      complain('flow', `${step.name}: ${error.message}`);
    }
  }
  return steps.map((step) => step.name);
}
