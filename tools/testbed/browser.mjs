// Checks, keyboard walks and pictures of Holdfast's web page in a headless Chromium; started by `browser`.
//
//   node browser.mjs MODULES CHROMIUM check|flow|shot ARGUMENTS…
//
// MODULES is the folder in which playwright-core and axe-core are installed. Prints one JSON object; exits
// with 1 if anything is wrong. Each page is opened anew, and no state is kept between pages.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { walk } from './browser_flow.mjs';

const WIDTHS = [400, 1600];
const SCHEMES = ['light', 'dark'];
// Maximum number of elements named in one complaint.
const EXAMPLES = 5;
const LIMIT_MS = 60_000;

const [modules, chromium, verb, ...rest] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), 'package.json'));
const playwright = require('playwright-core');
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// Reads `--name value` and `--name` out of the arguments; the others are returned in order.
function options(words, known) {
  const found = {};
  const others = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index];
    if (!word.startsWith('--')) {
      others.push(word);
    } else if (!(word.slice(2) in known)) {
      throw new Error(`unknown option ${word}`);
    } else {
      found[word.slice(2)] = known[word.slice(2)] ? words[(index += 1)] : true;
    }
  }
  return [found, others];
}

// The sandbox needs rights that containers and root do not have; only the collector's own page is opened.
function launch() {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none'];
  return playwright.chromium.launch({ executablePath: chromium, args });
}

// Records what goes wrong while a page is loaded and open. A page that answers with an error status is
// accepted if `statuses` has that status; Chromium's message about it is not counted.
export function listen(page, home, statuses, complain) {
  page.on('console', (message) => {
    const isDocument = message.location().url === page.url() && / status of \d/.test(message.text());
    if (message.type() === 'error' && !isDocument) complain('console', message.text());
  });
  page.on('pageerror', (error) => complain('script', error.message));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.host !== home) complain('foreign host', url.href);
  });
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? 'unknown';
    // A request that the page itself ends, because a newer one replaces it or the reader leaves.
    if (reason !== 'net::ERR_ABORTED') complain('request', `${request.url()}: ${reason}`);
  });
  page.on('response', (response) => {
    const isPage = response.request().isNavigationRequest();
    const isRight = isPage ? statuses.includes(response.status()) : response.status() < 400;
    // A redirection of the page is followed; its end is judged.
    const isRedirect = isPage && response.status() >= 300 && response.status() < 400;
    if (!isRight && !isRedirect) complain('status', `${response.url()}: ${response.status()}`);
  });
}

// In the page: elements that reach beyond the right edge, unless an ancestor scrolls or clips them.
function beyondTheEdge(examples) {
  const width = window.innerWidth;
  const root = document.documentElement;
  if (root.scrollWidth <= width) return null;
  const isContained = (element) => {
    for (let parent = element.parentElement; parent && parent !== root; parent = parent.parentElement) {
      if (parent !== document.body && getComputedStyle(parent).overflowX !== 'visible') return true;
    }
    return false;
  };
  const name = (element) =>
    element.tagName.toLowerCase() + (element.id ? `#${element.id}` : '') +
    [...element.classList].map((one) => `.${one}`).join('');
  const wide = [...document.body.querySelectorAll('*')].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > width + 0.5 && !isContained(element);
  });
  const names = wide.slice(0, examples).map((element) => {
    return `${name(element)} to ${Math.ceil(element.getBoundingClientRect().right)}`;
  });
  return `${root.scrollWidth} pixels of content in ${width}: ${names.join(', ')}`;
}

// The violations of axe-core: rule, impact and the first elements.
async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => (await window.axe.run(document)).violations);
  return found.map((rule) => {
    const nodes = rule.nodes.slice(0, EXAMPLES).map((node) => {
      const detail = [...node.any, ...node.all, ...node.none][0]?.message ?? '';
      return `${node.target.join(' ')}: ${detail}`;
    });
    return `${rule.id} (${rule.impact}, ${rule.nodes.length} elements): ${nodes.join('; ')}`;
  });
}

async function checkPage(context, url, statuses) {
  const complaints = [];
  const complain = (kind, text) => complaints.push({ kind, text });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  listen(page, new URL(url).host, statuses, complain);
  await page.goto(url, { waitUntil: 'load', timeout: LIMIT_MS });
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  const wide = await page.evaluate(beyondTheEdge, EXAMPLES);
  if (wide) complain('overflow', wide);
  for (const violation of await violations(page)) complain('axe', violation);
  page.removeAllListeners();
  await page.close();
  return complaints;
}

async function check(words) {
  const [{ status = '200' }, urls] = options(words, { status: true });
  const statuses = status.split(',').map(Number);
  const browser = await launch();
  const pages = [];
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const viewport = { width, height: 900 };
      const context = await browser.newContext({ viewport, colorScheme: scheme });
      for (const url of urls) {
        pages.push({ url, width, scheme, complaints: await checkPage(context, url, statuses) });
      }
      await context.close();
    }
  }
  await browser.close();
  return { pages, isRight: pages.every((page) => page.complaints.length === 0) };
}

async function flow([url, route]) {
  const browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  const complaints = [];
  const complain = (kind, text) => complaints.push({ kind, text });
  listen(page, new URL(url).host, [200], complain);
  const steps = await walk(page, url, route, complain);
  page.removeAllListeners();
  await browser.close();
  return { steps, complaints, isRight: complaints.length === 0 };
}

async function shot(words) {
  const known = { dark: false, full: false, size: true, wait: true };
  const [{ dark = false, full = false, size = '1280x800', wait }, [url, file]] = options(words, known);
  const [width, height] = size.split('x').map(Number);
  const browser = await launch();
  const colorScheme = dark ? 'dark' : 'light';
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const response = await page.goto(url, { waitUntil: 'load', timeout: LIMIT_MS });
  if (!response.ok()) throw new Error(`${url}: status ${response.status()}, expected 200`);
  if (wait) await page.waitForSelector(wait, { timeout: LIMIT_MS });
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  await page.screenshot({ path: file, fullPage: full, animations: 'disabled' });
  await browser.close();
  return { file, isRight: true };
}

try {
  const result = await { check, flow, shot }[verb](rest);
  console.log(JSON.stringify(result));
  process.exitCode = result.isRight ? 0 : 1;
} catch (error) {
  console.error(`browser: ${error.message}`);
  // At once: an open Chromium, which ends with this process, would keep it alive.
  process.exit(2);
}
