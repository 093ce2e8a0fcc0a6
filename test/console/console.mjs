// Looks at the console in Chromium, at three replicas under load, and prints what is wrong
// with it, a line each; at the end "done". Its arguments are a JSON object: replicas, the
// admin addresses of the three; several, the one of a replica with the pools llama and qwen;
// shadow, one that only plays flow control; guarded, the one that asks for a token, and the token;
// hostile, the name of a tenant; waiting, one whose requests wait; shots, where pictures go, or empty.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const given = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const wrong = (text) => console.log(`wrong: ${text}`);
const check = (holds, text) => { if (!holds) wrong(text); };
const views = ['now', 'tenants', 'requests', 'endpoints', 'replicas', 'configuration'];

const browser = await chromium.launch({
  executablePath: given.chromium, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});

// visit opens a page that reports what must not be: errors, and requests to elsewhere.
async function visit(address, width, colorScheme = 'light', height = 900) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.on('pageerror', (e) => wrong(`${width}: ${e.message}`));
  page.on('dialog', (d) => { wrong(`a dialog: ${d.message()}`); d.dismiss(); });
  page.on('request', (r) => check(r.url().startsWith(`${address}/`), `it asks ${r.url()}`));
  page.on('console', (m) => check(m.type() !== 'error' || /401|404/.test(m.text()), `${width}: ${m.text()}`));
  return { context, page };
}

async function open(page, address, view) {
  await page.goto(`${address}/#/${view}`);
  await page.waitForFunction(() => [...document.querySelectorAll('#state .pill')].some((p) => p.textContent));
}

// Every view at every width, in both themes.
async function looks() {
  const all = [...views, `tenant/${encodeURIComponent(given.hostile)}/0`];
  for (const [width, scheme, some] of [[390, 'light', all], [1280, 'dark', all], [2560, 'light', ['now', 'tenants']]]) {
    const { context, page } = await visit(given.replicas[0], width, scheme);
    for (const view of some) {
      await open(page, given.replicas[0], view);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      check(wide <= width, `${view} is ${wide} px wide at ${width}`);
      if (width > 1280) continue;
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
      for (const v of found.violations) {
        check(v.impact !== 'serious' && v.impact !== 'critical', `${view} at ${width}, ${scheme}: ${v.id}: ${v.help}: ${v.nodes[0].html}`);
      }
    }
    await context.close();
  }
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// told has the test do something, and returns once it has.
async function told(what) {
  console.log(what);
  await lines.next();
}

const figure = (page, label) => page.locator('.figure', { hasText: label }).locator('strong').innerText();

// The same figures at each replica, and names as text.
async function same() {
  const seen = [];
  for (const address of given.replicas) {
    const { context, page } = await visit(address, 1280);
    await open(page, address, 'now');
    await page.waitForFunction(() => /^\d+ \/ \d+$/.test(document.querySelector('.figure strong')?.textContent));
    const [used, limit] = (await figure(page, 'Slots in use')).split(' / ').map(Number);
    const queued = Number((await figure(page, 'Waiting')).replaceAll(',', ''));
    await open(page, address, 'tenants');
    await page.getByRole('button', { name: 'Tenant' }).click();
    await page.waitForFunction(() => { // the rows of the new order come after its mark
      const names = [...document.querySelectorAll('.tenants tbody th')].map((th) => th.innerText);
      return names.length > 1 && names.every((name, i) => i === 0 || names[i - 1] < name)
        && document.querySelector('.tenants [data-column=id]').getAttribute('aria-sort') === 'ascending';
    });
    const names = await page.locator('.tenants tbody th').allInnerTexts();
    seen.push({ used, limit, queued, names });
    check(names.includes(given.hostile), `${given.hostile} is not among ${names}`);
    check(await page.locator('main b, main img').count() === 0, 'a name became markup');
    await context.close();
  }
  for (const s of seen) {
    check(s.limit === seen[0].limit && s.used > 0 && s.used <= s.limit, `slots: ${JSON.stringify(seen)}`);
    check(Math.abs(s.queued - seen[0].queued) <= s.limit, `waiting: ${JSON.stringify(seen)}`);
    check(s.names.join(' ') === seen[0].names.join(' '), `tenants: ${JSON.stringify(seen)}`);
  }
}

// What is under the cursor stays there, and the keyboard reaches everything.
async function steady() {
  const { context, page } = await visit(given.replicas[0], 1280);
  await open(page, given.replicas[0], 'tenants');
  await page.waitForSelector('.tenants tbody tr:nth-child(3)');
  const row = page.locator('.tenants tbody tr').nth(2);
  await row.hover();
  await row.evaluate((e) => { e.marked = true; });
  const before = await row.innerText();
  await page.waitForFunction((was) => document.querySelectorAll('.tenants tbody tr')[2].innerText !== was, before);
  check(await row.evaluate((e) => e.marked === true), 'the row under the cursor was made anew or moved');
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement.textContent) === 'To the content', 'the first stop is not the way to the content');
  const stops = new Set();
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press('Tab');
    stops.add(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
  }
  for (const stop of ['Replicas', 'search', 'which', 'Longest wait', given.hostile]) check(stops.has(stop), `Tab does not reach ${stop}: ${[...stops]}`);
  await context.close();
}

// Tenants are found by the group that they are in, and groups show their maxima.
async function groups() {
  const { context, page } = await visit(given.replicas[0], 1280);
  await open(page, given.replicas[0], 'tenants');
  await page.waitForSelector('.tenants tbody tr:nth-child(3)');
  await page.locator('#group').selectOption('labs');
  await page.waitForFunction(() => document.querySelectorAll('.tenants tbody tr').length === 1);
  const row = await page.locator('.tenants tbody tr').innerText();
  check(row.includes('research') && row.includes('labs'), `of the group labs: ${row}`);
  await page.waitForFunction(() => [...document.querySelectorAll('details tbody tr')].some((tr) => tr.textContent.startsWith('labs') && tr.querySelector('[data-column=maximum] .pill')?.textContent === '2 of 2'));
  const others = await page.locator('details tbody tr', { hasText: '(no group)' }).count();
  check(others > 0, 'those in no group are not told of');
  const limit = await page.locator('.tenants thead [data-column=limit]').evaluate((e) => e.getBoundingClientRect().right <= e.closest('.table').getBoundingClientRect().right);
  check(limit, 'own limits are out of sight beside groups');
  await context.close();
}

// What a group is guaranteed of the pool is beside what it had, as the API says it, and on a phone, too.
async function shares() {
  for (const width of [1280, 390]) {
    const { context, page } = await visit(given.replicas[0], width);
    await open(page, given.replicas[0], 'tenants');
    const card = page.locator('details', { hasText: 'Shares of the pool' });
    await card.waitFor();
    if (width < 720) await card.locator('summary').click();
    const labs = card.locator('tbody tr', { has: page.locator('th', { hasText: /^labs$/ }) });
    const cell = (key) => labs.locator(`[data-column=${key}]`).innerText();
    await labs.waitFor();
    const answer = (await (await fetch(`${given.replicas[1]}/v1/shares`)).json()).groups_over_priorities.find((g) => g.group === 'labs');
    check(Number(await cell('guaranteed')) === answer.guaranteed_slots && answer.guaranteed_slots > 0, `labs is guaranteed ${await cell('guaranteed')}, by the API ${answer.guaranteed_slots}`);
    await page.waitForFunction(() => [...document.querySelectorAll('details tbody tr')].some((tr) => tr.querySelector('th')?.textContent === 'labs' && Number(tr.querySelector('[data-column=minute] .value')?.textContent) > 0.5));
    check(/^priority /.test(await card.locator('tbody th').first().innerText()), 'priorities are not first');
    check(await card.locator('tbody th', { hasText: '(no group)' }).count() === 1, 'those in no group have no share');
    check(await page.evaluate(() => document.documentElement.scrollWidth) <= width, `shares are too wide at ${width}`);
    await context.close();
  }
}

// While flow control is only played, nothing is said not to be served.
async function shadow() {
  const { context, page } = await visit(given.shadow, 390);
  await open(page, given.shadow, 'now');
  await page.getByText('Shadow: nothing is held').waitFor();
  const told = await page.evaluate(() => [...document.querySelectorAll('.figure .label')].map((e) => e.textContent + getComputedStyle(e, '::after').content.replaceAll('"', '').replace('none', '')));
  check(told.includes('Not served a second, as played') && told.includes('Requests a second'), `in shadow: ${told}`);
  const lines = await page.locator('.legend dt').allInnerTexts();
  check(lines.includes('not, as played') && !lines.includes('not served'), `lines in shadow: ${lines}`);
  check(await page.getByText('everybody would be served').count() === 1, 'in shadow somebody is said to be served by flow control');
  await context.close();
}

// The pool that is looked at is in the page's address, and one that there is not is told of.
async function pools() {
  const { context, page } = await visit(given.several, 390);
  const shows = (name) => page.waitForFunction((n) => document.getElementById('pools').value === n && new URLSearchParams(location.search).get('pool') === n, name);
  await open(page, given.several, 'now');
  await shows('llama');
  await page.getByLabel('Pool', { exact: true }).selectOption('qwen');
  await shows('qwen');
  await page.reload();
  await shows('qwen');
  await page.getByRole('link', { name: 'Endpoints' }).click();
  await page.getByText('http://127.0.0.1:2').waitFor();
  check(page.url().includes('pool=qwen') && page.url().endsWith('#/endpoints'), `the address is ${page.url()}`);
  await page.goto(`${given.several}/?pool=gone#/now`);
  await page.getByText('There is no pool gone here; this is llama.').waitFor();
  await context.close();
}

// What a replica's metrics say is not told of where nobody reads them.
async function unread() {
  const { context, page } = await visit(given.several, 1280);
  await open(page, given.several, 'endpoints');
  await page.getByText('What they say of themselves is not read').waitFor();
  check(await page.locator('thead [data-column=kv]').isHidden(), 'there is a column for what nobody reads');
  await context.close();
}

// A configuration that was refused is seen where the others are compared.
async function refused() {
  const { context, page } = await visit(given.several, 390);
  await open(page, given.several, 'configuration');
  await page.getByText('all have the same').waitFor();
  await told('break');
  await page.getByText('none has what was changed last').waitFor();
  await page.getByText('a changed configuration was not taken over').first().waitFor();
  await context.close();
}

// The labels of a chart's time, which have no seconds, stand where these minutes began.
async function axis() {
  const { context, page } = await visit(given.replicas[0], 1280);
  await open(page, given.replicas[0], 'now');
  const labels = await page.evaluate(async () => {
    const { Chart, Together } = await import('/console/chart.js');
    const chart = new Chart({ title: 'axis', together: new Together(), format: String, series: [{ label: 'x', tone: 'a', of: (s) => s.x }] });
    document.querySelector('main').append(chart.root);
    chart.resize();
    const end = new Date(2026, 0, 2, 12, 0, 40).getTime();
    chart.update([9, 6, 3, 0].map((back) => ({ at: end - back * 60000, x: 1 })), []);
    return [...chart.grid.querySelectorAll('[text-anchor=middle]')].map((label) => {
      const [hour, minute] = label.textContent.split(':');
      return { text: label.textContent, off: Number(label.getAttribute('x')) - chart.x(new Date(2026, 0, 2, hour, minute).getTime()) };
    });
  });
  const heights = await page.evaluate(async () => {
    const { Chart, Together } = await import('/console/chart.js');
    return [0, 1, 3, 5, 7, 11, 23].map((most) => {
      const chart = new Chart({ title: 'axis', together: new Together(), format: String, whole: true, series: [{ label: 'x', tone: 'a', of: (s) => s.x }] });
      document.querySelector('main').append(chart.root);
      chart.resize();
      chart.update([{ at: Date.now() - 60000, x: 0 }, { at: Date.now(), x: most }], []);
      return [...chart.grid.querySelectorAll('[text-anchor=end]')].map((label) => Number(label.textContent));
    });
  });
  check(heights.flat().every(Number.isInteger) && heights.length === 7, `the axes of whole numbers: ${JSON.stringify(heights)}`);
  check(labels.length > 3 && labels.every((l) => Math.abs(l.off) < 0.01), `the time axis: ${JSON.stringify(labels)}`);
  await context.close();
}

// asked is a page of one of the requests of the tenant that wait.
const asked = async (page) => (await fetch(`${given.replicas[2]}/v1/requests?state=waiting&flow=${given.waiting}&limit=1&${page}`)).json();

// waiting is how many of the tenant's requests wait.
async function waiting() {
  return (await asked('')).total;
}

// newest is the id of a request that will wait for long.
async function newest() {
  return (await asked(`offset=${Math.floor(await waiting() * 0.8)}`)).requests[0].id;
}

// The page of a request says what the API says.
async function why() {
  const { context, page } = await visit(given.replicas[1], 1280);
  const id = await newest();
  await open(page, given.replicas[1], 'requests');
  await page.getByLabel('Why does this one wait?').fill(id);
  const answered = page.waitForResponse((r) => r.url().endsWith(`/v1/requests/${id}`) && r.ok());
  await page.getByRole('button', { name: 'Ask' }).click();
  const answer = await (await answered).json();
  await page.waitForFunction((place) => document.querySelector('.place')?.textContent.startsWith(`Place ${place} of`), answer.why.place.toLocaleString('en'), { polling: 20 });
  const reason = await page.locator('.reason').innerText();
  check(reason.toLowerCase() === `${answer.why.reason}.`.toLowerCase(), `the page says "${reason}", the API "${answer.why.reason}"`);
  const elsewhere = await (await fetch(`${given.replicas[0]}/v1/requests/${id}`)).json();
  // What holds it may be another from one moment to the next, and its place changes as others come and go.
  check(elsewhere.owner === answer.owner && Math.abs(elsewhere.why?.place - answer.why.place) <= 24, `another replica says ${JSON.stringify(elsewhere)}, this one ${JSON.stringify(answer)}`);
  await context.close();
}

// Where there is a token, it is asked for, and goes nowhere but into the header.
async function token() {
  const { context, page } = await visit(given.guarded, 390);
  const leaks = [];
  page.on('request', (r) => { if (r.url().includes(given.token)) leaks.push(r.url()); });
  await page.goto(given.guarded);
  await page.waitForSelector('dialog[open]');
  await page.evaluate(axe);
  await page.locator('#token-input').fill('not it');
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByText('That was not the right token.').waitFor();
  await page.locator('#token-input').fill(given.token);
  await page.getByRole('button', { name: 'Open' }).click();
  await page.waitForFunction(() => [...document.querySelectorAll('#state .pill')].some((p) => p.textContent) && !document.querySelector('dialog').open);
  check((await context.cookies()).length === 0, 'there is a cookie');
  check(leaks.length === 0 && !page.url().includes(given.token), `the token is in an address: ${leaks}`);
  check(await page.evaluate(() => localStorage.length) === 0, 'something is kept beyond the tab');
  await context.close();
}

// With the token things are set for a time, and taken back, where they are seen.
async function acts() {
  const { context, page } = await visit(given.guarded, 390);
  page.removeAllListeners('dialog');
  page.on('dialog', (d) => d.accept());
  await page.addInitScript((token) => sessionStorage.setItem('weir-admin-token', token), given.token);
  const fine = async (view) => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    for (const v of found.violations) check(v.impact !== 'serious' && v.impact !== 'critical', `${view} with actions: ${v.id}: ${v.help}: ${v.nodes[0].html}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= 390, `${view} with actions is ${wide} px wide`);
  };
  await open(page, given.guarded, `tenant/${encodeURIComponent(given.hostile)}/0`);
  await page.getByLabel('Weight').fill('3');
  await page.getByLabel('Why').fill(given.hostile);
  await fine('tenant');
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await page.getByText(/^weight 3, until /).waitFor();
  await open(page, given.guarded, 'endpoints');
  await page.getByText('cannot be used at guarded').waitFor(); // its Endpoint Picker, which is not there
  await page.getByRole('button', { name: 'Drain for an hour' }).first().click();
  await page.getByText('drained: is sent nothing more').first().waitFor();
  await fine('endpoints');
  await open(page, given.guarded, 'configuration');
  await page.getByText('weight 3').waitFor();
  await fine('configuration');
  for (const left of [1, 0]) {
    await page.getByRole('button', { name: 'Take it back' }).first().click();
    await page.waitForFunction((n) => [...document.querySelectorAll('button')].filter((b) => b.textContent === 'Take it back' && b.checkVisibility()).length === n, left);
  }
  await page.getByText('Nothing: all is as configured.').waitFor();
  const left = await (await fetch(`${given.guarded}/v1/overrides`, { headers: { Authorization: `Bearer ${given.token}` } })).json();
  check(left.overrides.length === 0, `still set: ${JSON.stringify(left)}`);
  await context.close();
}

// A replica that is killed is an event, and a mark on the lines, within 3 s. On a machine that
// had no time for it, so is the next one.
async function killed() {
  const { context, page } = await visit(given.replicas[0], 1280);
  await open(page, given.replicas[0], 'now');
  await page.waitForSelector('.events li');
  let took = Infinity;
  for (const replica of ['replica-3', 'replica-2']) {
    await told(`kill ${replica}`);
    const began = Date.now();
    await page.locator('.events li', { hasText: `${replica} is gone` }).waitFor();
    await page.waitForFunction((id) => [...document.querySelectorAll('.marks [data-tone=bad] title')].some((e) => e.textContent.includes(`${id} is gone`)), replica, { polling: 20 });
    took = Date.now() - began;
    console.log(`${replica} is marked as gone after ${took} ms`);
    if (took <= 3000) break;
  }
  check(took <= 3000, `a replica that was killed is marked after ${took} ms`);
  await context.close();
}

// Pictures for the documentation.
async function shots() {
  mkdirSync(given.shots, { recursive: true });
  for (const [view, scheme] of [['now', 'light'], ['now', 'dark'], ['tenants', 'light'], ['shares', 'light'], ['request', 'light']]) {
    if (view === 'request') { // one that still waits once its page has come, also on a busy machine
      await told('flood');
      for (const end = Date.now() + 60000; Date.now() < end && await waiting() < 150;) await new Promise((f) => setTimeout(f, 100));
    }
    const { context, page } = await visit(given.replicas[0], 1280, scheme, view === 'tenants' ? 1240 : 800);
    await open(page, given.replicas[0], { request: `request/${await newest()}`, shares: 'tenants' }[view] ?? view);
    await page.waitForSelector({ now: '.stroke[d]', tenants: '.tenants tbody tr', shares: 'details tbody .value', request: '.ahead li' }[view], { state: 'attached' });
    if (view !== 'request') await page.waitForTimeout(1000);
    const of = view === 'shares' ? page.locator('details', { hasText: 'Shares of the pool' }) : page;
    await of.screenshot({ path: `${given.shots}/console-${view}-${scheme}.png` });
    await context.close();
  }
}

try {
  if (given.shots) await shots();
  else for (const part of [same, steady, groups, shares, shadow, pools, unread, refused, axis, why, token, acts, looks, killed]) await part();
} catch (e) {
  wrong(e.stack);
}
await browser.close();
console.log('done');
process.exit(0);
