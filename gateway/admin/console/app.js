// The console: one view at a time, named by the address's fragment. A view is made once
// when it is opened, and then changes what it shows.

import { ask, get, hasToken, pool as asked, setPool, setToken, Unauthorized } from './api.js';
import { attr, el, pill, text } from './dom.js';
import { duration } from './format.js';
import { now } from './now.js';
import { request, requests } from './requests.js';
import { configuration, endpoints, replicas } from './fleet.js';
import { shadow } from './shadow.js';
import { tenant, tenants } from './tenants.js';

const views = { now, tenants, tenant, requests, request, endpoints, replicas, configuration, shadow };
const main = document.getElementById('main');
const notice = document.getElementById('notice');
const chooser = document.getElementById('pools');
const dialog = document.getElementById('token');
const ledger = pill();
const played = pill();
const toShadow = el('a', { href: '#/shadow', hidden: true }, played.root);
document.getElementById('state').append(toShadow, ledger.root);

let current = null;

// open shows the view that the address names.
function open() {
  const [name, ...rest] = location.hash.replace(/^#\//, '').split('/');
  const make = views[name] ?? views.now;
  current?.stop.abort();
  const stop = new AbortController();
  const view = make({
    argument: rest.map(decodeURIComponent), get: (path, parameters) => get(path, parameters, stop.signal), refresh: () => poll(current), act,
  });
  current = { view, stop, timer: 0 };
  main.replaceChildren(el('h1', {}, view.title), view.root);
  document.title = `${view.title} – Weir`;
  const section = { tenant: 'tenants', request: 'requests' }[name] ?? (views[name] ? name : 'now');
  for (const a of document.querySelectorAll('nav a')) attr(a, 'aria-current', a.getAttribute('href') === `#/${section}` ? 'page' : null);
  poll(current);
}

let seen = ''; // the pool whose figures are shown

// act changes something of the pool that is seen, and shows what came of it.
async function act(method, path, body) {
  try {
    await ask(method, path, body, undefined, asked() || seen);
  } catch (failed) {
    if (failed instanceof Unauthorized) askToken();
    throw failed;
  }
  poll(current);
}

// poll asks for what a view shows, and again after a while for as long as it is open.
async function poll(of) {
  clearTimeout(of.timer);
  if (of !== current) return;
  if (!document.hidden && !dialog.open) {
    try {
      const left = await choose(of.stop.signal);
      if (left) {
        await of.view.unopened?.();
        if (of === current) unopened(left);
      } else {
        const [pool] = await Promise.all([get('pool', {}, of.stop.signal), of.view.load()]);
        if (of !== current) return;
        shown(pool);
        attr(document.body, 'data-stale', null);
      }
    } catch (failed) {
      if (of.stop.signal.aborted) return;
      if (failed instanceof Unauthorized) { askToken(); return; }
      say(failed.status ? failed.message : 'This replica does not answer. The figures are from before; asking again.');
      if (!failed.status) attr(document.body, 'data-stale', true);
    }
  }
  if (of === current) of.timer = setTimeout(() => poll(of), of.view.every ?? 2000);
}

let gone = ''; // the pool that the address named and that there is not

// choose offers the pools, where there are several, and keeps to one that there is. Where there is
// none it returns what cannot be one.
async function choose(signal) {
  const { pools, left_out: left = [] } = await get('pools', {}, signal);
  const names = pools.map((p) => p.name);
  attr(chooser, 'hidden', names.length < 2);
  attr(document.getElementById('pool'), 'hidden', names.length > 1);
  if (names.length === 0) return left;
  if (asked() && !names.includes(asked())) gone = asked();
  if (names.length < 2) { setPool(''); return undefined; }
  if (!names.includes(asked())) setPool(names[0]);
  if ([...chooser.options].map((o) => o.value).join('\n') !== names.join('\n')) {
    chooser.replaceChildren(...names.map((name) => { const o = el('option', { value: name }); text(o, name); return o; }));
  }
  if (document.activeElement !== chooser) chooser.value = asked();
  return undefined;
}

chooser.addEventListener('change', () => { gone = ''; setPool(chooser.value); open(); });

const words = {
  connected: ['Ledger connected', 'good'], slow: ['Ledger slow', 'warn'], registering: ['Registering', 'warn'],
  outage: ['Ledger: outage', 'bad'], superseded: ['Id taken', 'bad'],
};

// shown shows what concerns every view.
function shown(pool) {
  seen = pool.pool;
  text(document.getElementById('pool'), pool.pool);
  const [word, t] = words[pool.ledger.state] ?? [pool.ledger.state, 'warn'];
  ledger.set(word, t);
  attr(ledger.root, 'title', `An exchange with the ledger takes ${duration(pool.ledger.turn_ms)}`);
  attr(document.body, 'data-shadow', pool.shadow);
  attr(toShadow, 'hidden', !pool.shadow); // a link without words is none
  played.set(pool.shadow ? 'Shadow: nothing is held' : '', 'warn');
  attr(played.root, 'title', pool.shadow ? 'Requests go at once and none is refused. What is shown is what flow control would do with them.' : null);
  const { missing } = pool.fleet;
  if (gone) say(`There is no pool ${gone} here; this is ${pool.pool}.`);
  else say(missing.length === 0 ? '' : `${missing.map((m) => m.replica).join(', ')} did not answer: the figures are without what ${missing.length === 1 ? 'it knows' : 'they know'}.`);
}

// unopened says that there is no pool, and what cannot be one. Figures that are still there are of one
// that is gone.
function unopened(left) {
  attr(document.body, 'data-stale', seen ? true : null);
  say(['This replica has no pool yet.', ...left.map((l) => `${l.inference_pool} is left out: ${l.why}.`)].join(' '));
}

function say(words) {
  notice.hidden = words === '';
  text(notice, words);
}

function askToken() {
  text(document.getElementById('token-text'), hasToken() ? 'That was not the right token.' : 'It is kept in this tab alone, until it is closed.');
  setToken('');
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener('close', () => {
  const input = document.getElementById('token-input');
  setToken(input.value.trim());
  input.value = '';
  poll(current);
});
dialog.addEventListener('cancel', (e) => e.preventDefault());
document.addEventListener('visibilitychange', () => { if (!document.hidden && current) poll(current); });
addEventListener('hashchange', () => { open(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
open();
