// Endpoints, replicas and the configuration.

import { changes, doing } from './actions.js';
import { attr, bar, card, el, Keyed, pill, table, text } from './dom.js';
import { count, duration, percent, since, time } from './format.js';

// meter fills a cell with a bar and a value.
function meter(part, words) {
  return (td) => {
    const set = bar(td);
    return (item) => set(part(item) ?? 0, null, words(item));
  };
}

function state(of) {
  return (td) => {
    const p = pill();
    td.append(p.root);
    return (item) => p.set(...of(item));
  };
}

// standsAt says how an endpoint is.
function standsAt(e) {
  if (!e.healthy) return [`ejected by ${e.ejected_by.join(', ')}`, 'bad'];
  return e.drained ? ['drained: is sent nothing more', 'warn'] : ['in use', 'good'];
}

// asPicker says how an Endpoint Picker stands: the worst that a replica finds.
function asPicker(p) {
  const at = p.replicas.filter((r) => r.state === p.state).map((r) => r.replica).join(', ');
  switch (p.state) {
    case 'in_use': return ['in use', 'good'];
    case 'quiet': return ['keeps requests waiting', 'warn'];
    case 'never_connected': return [`was never connected at ${at}; another address of ${p.name} is`, 'warn'];
    case 'probing': return [`answers nobody at ${at}; it is asked once more`, 'bad'];
    case 'silent': return [`answers nobody at ${at}`, 'bad'];
    default: return [`cannot be used at ${at}`, 'bad'];
  }
}

export function endpoints({ get, act }) {
  const scale = { top: 1 };
  const list = table('Model servers', [
    { key: 'name', label: 'Endpoint', cell: (e) => e.name },
    { key: 'health', label: 'State', make: state(standsAt) },
    { key: 'load', label: 'In flight', wide: true, make: meter((e) => e.in_flight / scale.top, (e) => count(e.in_flight)) },
    { key: 'running', label: 'It runs', number: true, cell: (e) => (e.running === undefined ? '–' : count(e.running)) },
    { key: 'waiting', label: 'It queues', number: true, cell: (e) => (e.waiting === undefined ? '–' : count(e.waiting)) },
    { key: 'kv', label: 'KV cache', wide: true, make: meter((e) => e.kv_cache_usage, (e) => (e.kv_cache_usage === undefined ? '–' : percent(e.kv_cache_usage))) },
    { key: 'age', label: 'Read', number: true, minor: true, cell: (e) => (e.age_ms === undefined ? 'never' : `${duration(e.age_ms)} ago`) },
    { key: 'url', label: 'Address', minor: true, cell: (e) => e.url },
    { key: 'act', label: 'Action', make: (td, e) => {
      const drain = doing('Drain for an hour', async () => {
        if (confirm(`Send nothing more to ${e.name} for an hour?`)) await act('POST', 'overrides', { endpoint: e.url, drain: true, for: '1h' });
      });
      const back = doing('Send to it again', () => act('DELETE', `overrides?${new URLSearchParams({ endpoint: e.url })}`));
      td.append(drain.root, back.root);
      return (now) => {
        drain.root.hidden = !now.may_act || now.drained === true;
        back.root.hidden = !now.may_act || now.drained !== true;
      };
    } },
  ]);
  const pickers = table('Endpoint Pickers that choose', [
    { key: 'address', label: 'Picker', cell: (p) => (p.name === p.address ? p.address : `${p.address} (${p.name})`) },
    { key: 'state', label: 'State', make: state(asPicker) },
    { key: 'asked', label: 'Asked', number: true, cell: (p) => count(p.asked) },
    { key: 'unanswered', label: 'Unanswered', number: true, cell: (p) => count(p.unanswered) },
    { key: 'failed', label: 'Failed', number: true, cell: (p) => count(p.failed) },
    { key: 'ejected', label: 'Taken out', number: true, minor: true, cell: (p) => count(p.ejected) },
    { key: 'error', label: 'Last error', cell: (p) => (p.error ? `${time(p.error_at)}: ${p.error}` : '–') },
  ]);
  const others = card('Endpoint Pickers', el('p', { class: 'explains' }, 'They choose where a request goes once it may. Counts are since the replicas\u2019 start.'), pickers.root);
  const none = el('p', { class: 'empty' }, 'The pool has no endpoint.');
  const unread = el('p', { class: 'explains' }, 'What they say of themselves is not read: no detector or scorer here needs it.');
  const root = el('section', { class: 'card' }, list.root, none, unread);
  return {
    title: 'Endpoints',
    root: el('div', { class: 'detail' }, others, root),
    async load() {
      const [answer, set, chosen] = await Promise.all([get('endpoints', { limit: 1000 }), get('overrides'), get('pickers', { limit: 1000 })]);
      others.hidden = chosen.pickers.length === 0;
      pickers.update(chosen.pickers, (p) => p.address);
      attr(root, 'data-acts', set.may_act);
      const read = answer.endpoints.some((e) => e.age_ms !== undefined);
      attr(root, 'data-unread', !read);
      unread.hidden = read || answer.endpoints.length === 0;
      scale.top = Math.max(1, ...answer.endpoints.map((e) => e.in_flight));
      list.update(answer.endpoints.map((e) => ({ ...e, may_act: set.may_act })), (e) => e.url);
      none.hidden = answer.endpoints.length > 0;
    },
  };
}

function standing(r) {
  if (r.other_ledger) return [`keeps another ledger: pool ${r.other_ledger.pool}`, 'bad'];
  if (r.lost) return [`lost, with ${count(r.lost.in_flight)} that still count`, 'bad'];
  if (!r.live) return ['gone', 'bad'];
  if (!r.answered) return ['does not answer', 'bad'];
  if (r.leaving) return ['leaves', 'warn'];
  if (r.ledger_state !== 'connected') return [`ledger: ${r.ledger_state}`, r.ledger_state === 'outage' ? 'bad' : 'warn'];
  if (!r.reachable) return ['some cannot reach it', 'warn'];
  return ['serves', 'good'];
}

export function replicas({ get }) {
  const list = table('Replicas', [
    { key: 'id', label: 'Replica', cell: (r) => r.id + (r.self ? ' (this page)' : '') },
    { key: 'state', label: 'State', make: state(standing) },
    { key: 'waiting', label: 'Its clients wait', number: true, cell: (r) => count(r.waiting) },
    { key: 'in_flight', label: 'In flight', number: true, cell: (r) => count(r.in_flight) },
    { key: 'queued', label: 'In its queues', number: true, cell: (r) => count(r.queued) },
    { key: 'shards', label: 'Shards', number: true, cell: (r) => count(r.shards) },
    { key: 'turn', label: 'Ledger takes', number: true, cell: (r) => (r.answered ? duration(r.turn_ms) : '–') },
    { key: 'up', label: 'Up for', number: true, cell: (r) => (r.started ? since(r.started) : '–') },
    { key: 'version', label: 'Version', minor: true, cell: (r) => r.version || '–' },
    { key: 'print', label: 'Settings', minor: true, make: (td) => {
      const words = el('span');
      td.append(words);
      return (r) => {
        text(words, r.refused_config ? 'refused what was changed last' : r.differs ? `differs in ${r.differs.join(', ')}` : r.fingerprint || '–');
        attr(words, 'data-tone', r.differs || r.refused_config ? 'warn' : null);
        attr(words, 'title', r.refused_config?.why);
      };
    } },
  ]);
  return {
    title: 'Replicas',
    root: el('section', { class: 'card' }, list.root),
    async load() {
      const answer = await get('replicas', { limit: 1000 });
      list.update(answer.replicas, (r) => r.id);
    },
  };
}

export function configuration({ get, act }) {
  const set = changes(act);
  const of = el('p', { class: 'explains' });
  const yaml = el('pre', { tabindex: 0, role: 'region', 'aria-label': 'The effective configuration' });
  const list = table('Settings that should be the same everywhere', [
    { key: 'replica', label: 'Replica', cell: (c) => c.replica },
    { key: 'print', label: 'Fingerprint', cell: (c) => c.fingerprint || '–' },
    { key: 'loaded', label: 'Read at', number: true, cell: (c) => time(c.loaded) },
  ]);
  const same = pill();
  const refused = el('ul', { class: 'refused', role: 'alert' });
  const refusals = new Keyed(refused, () => {
    const root = el('li');
    return { root, update(c) { text(root, `${c.replica}, at ${time(c.refused.at)}: ${c.refused.why}`); } };
  });
  return {
    title: 'Configuration',
    root: el('div', { class: 'columns' }, card('Effective', of, yaml), el('div', { class: 'detail' }, set.root, card('Replicas', same.root, refused, list.root))),
    every: 5000,
    async load() {
      const [answer, overrides] = await Promise.all([get('config'), get('overrides')]);
      set.update(overrides);
      text(yaml, answer.yaml);
      const files = answer.files.length ? `from ${answer.files.join(', ')}` : 'from flags and defaults alone';
      text(of, `Of ${answer.fleet.replica}, ${files}, read at ${time(answer.loaded)}, with all defaults.`);
      list.update(answer.replicas, (c) => c.replica);
      const prints = new Set(answer.replicas.map((c) => c.fingerprint));
      const behind = answer.replicas.filter((c) => c.refused);
      refusals.update(behind, (c) => c.replica, true);
      refused.hidden = behind.length === 0;
      if (behind.length) same.set(`${behind.length === answer.replicas.length ? 'none has' : `${behind.map((c) => c.replica).join(', ')} has not`} what was changed last`, 'bad');
      else same.set(prints.size === 1 ? 'all have the same' : `${prints.size} different ones`, prints.size === 1 ? 'good' : 'warn');
    },
  };
}
