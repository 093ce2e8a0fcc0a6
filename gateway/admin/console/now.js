// Now: the pool at a glance, and its last 15 minutes.

import { Chart, Together, tones as severities } from './chart.js';
import { attr, card, el, Keyed, table, text, width } from './dom.js';
import { big, count, decimal, duration, limit, rate, time, waited } from './format.js';

// figure is one large number with what belongs to it; played says that it is flow control's, and
// in shadow only as that is played.
function figure(label, { bar = false, played = false } = {}) {
  const value = el('strong');
  const note = el('span', { class: 'note' });
  const fill = el('span', { class: 'fill' });
  const root = el('div', { class: 'figure' }, el('span', { class: played ? 'label played' : 'label' }, label), value,
    bar ? el('span', { class: 'meter', 'aria-hidden': 'true' }, fill) : null, note);
  return {
    root,
    set(v, n, part, t) {
      text(value, v);
      text(note, n);
      attr(root, 'data-tone', t ?? null);
      if (bar) width(fill, part ?? 0);
    },
  };
}

const tones = ['a', 'b', 'c', 'd', 'e'];

export function now({ get }) {
  const used = figure('Slots in use', { bar: true, played: true });
  const waiting = figure('Waiting', { played: true });
  const requests = figure('Requests a second');
  const waits = figure('Wait, half within', { played: true });
  const refused = figure('Not served a second', { played: true });
  const endpoints = figure('Endpoints in use');
  const together = new Together();
  const slots = new Chart({ title: 'Slots in use', together, format: big, whole: true, series: [
    { label: 'in use', tone: 'a', area: true, of: (s) => s.in_flight }, { label: 'limit', tone: 'limit', dashed: true, of: (s) => s.limit },
  ] });
  const queue = new Chart({ title: 'Waiting by priority', together, format: big, stacked: true, whole: true, series: [{ label: 'priority 0', tone: 'a', of: (s) => s.queued }] });
  const went = (shadow) => [
    { label: shadow ? 'let go, as played' : 'to the pool', tone: 'a', area: true, of: (s) => s.requests_per_second },
    { label: shadow ? 'not, as played' : 'not served', tone: 'bad', of: (s) => s.refused_per_second },
  ];
  const flow = new Chart({ title: 'Requests a second', together, format: decimal, series: went(false) });
  const wait = new Chart({ title: 'Wait before the pool', together, format: duration, series: [
    { label: 'half within', tone: 'a', of: (s) => s.wait_p50_ms }, { label: '99% within', tone: 'c', of: (s) => s.wait_p99_ms },
  ] });
  const bands = table('By priority, the highest first', [
    { key: 'priority', label: 'Priority', cell: (b) => b.priority },
    { key: 'in_flight', label: 'In flight', number: true, cell: (b) => `${count(b.in_flight)} of ${limit(b.limit)}` },
    { key: 'queued', label: 'Waiting', number: true, cell: (b) => count(b.queued) },
    { key: 'oldest', label: 'Longest wait', number: true, cell: (b) => (b.queued ? duration(b.oldest_ms) : '–') },
    { key: 'rate', label: 'Requests/s', number: true, cell: (b) => rate(b.recent.dispatched_per_second) },
    { key: 'half', label: 'Half within', number: true, cell: (b) => waited(b.recent, 'wait_p50_ms') },
    { key: 'p99', label: '99% within', number: true, cell: (b) => waited(b.recent, 'wait_p99_ms') },
    { key: 'flows', label: 'Flows', number: true, cell: (b) => count(b.flows) },
    { key: 'weight', label: 'Weight', number: true, cell: (b) => b.weight || '–' },
    { key: 'policy', label: 'Fairness', cell: (b) => b.fairness },
  ]);
  const list = el('ol', { class: 'events' });
  const rows = new Keyed(list, () => {
    const at = el('time');
    const what = el('span');
    const root = el('li', {}, at, what);
    return { root, update(e) {
      text(at, time(e.at));
      attr(at, 'datetime', e.at);
      text(what, e.text);
      attr(root, 'data-tone', severities[e.severity]);
      attr(root, 'title', `seen by ${e.replicas.join(', ')}`);
    } };
  });
  const none = el('p', { class: 'empty' }, 'Nothing happened that is worth telling.');
  const noBands = el('p', { class: 'empty' }, 'No request has come yet.');
  const root = el('div', { class: 'now' },
    el('section', { class: 'figures', 'aria-label': 'The pool now' }, ...[used, waiting, requests, waits, refused, endpoints].map((f) => f.root)),
    el('div', { class: 'charts' }, slots.root, queue.root, flow.root, wait.root),
    el('div', { class: 'columns' }, card('Priorities', noBands, bands.root), card('What happened', none, list)));

  const happened = ({ events }) => {
    none.hidden = events.length > 0;
    rows.update(events.slice(0, 12), (e) => `${e.at} ${e.text}`);
  };

  let samples = [];
  return {
    title: 'Now',
    root,
    every: 1500,
    async load() {
      const [pool, history, events] = await Promise.all([
        get('pool'), get('history', { since: samples.at(-1)?.at }), get('events', { limit: 50 }),
      ]);
      const oldest = Math.max(0, ...pool.bands.map((b) => (b.queued ? b.oldest_ms : 0)));
      const full = pool.limit !== null && pool.in_flight >= pool.limit;
      used.set(pool.limit === null ? count(pool.in_flight) : `${count(pool.in_flight)} / ${count(pool.limit)}`,
        pool.limit === null ? 'there is no limit' : full ? 'the pool is full' : `${count(pool.limit - pool.in_flight)} free`, pool.limit ? pool.in_flight / pool.limit : 0,
        pool.limit === 0 ? 'bad' : null);
      waiting.set(count(pool.queued), pool.queued ? `longest ${duration(oldest)}` : pool.shadow ? 'nobody would wait' : 'nobody waits');
      const tokens = samples.at(-1)?.tokens_per_second ?? 0;
      // The same as the line's last point: of the last seconds, where pool.recent is of up to a minute.
      requests.set(rate(history.samples.at(-1)?.requests_per_second ?? samples.at(-1)?.requests_per_second ?? pool.recent.dispatched_per_second), tokens ? `${big(tokens)} tokens a second` : 'sent to the pool');
      waits.set(waited(pool.recent, 'wait_p50_ms'), `99% within ${waited(pool.recent, 'wait_p99_ms')}`);
      const bad = pool.not_served_per_second;
      const causes = pool.refusals.slice(0, 2).map((r) => `${r.code.replaceAll('_', ' ')} ${rate(r.per_second)}`).join(', ');
      const fine = pool.shadow ? 'everybody would be served' : 'everybody is served';
      refused.set(rate(bad), causes || (bad ? 'clients went away' : fine), null, bad > 0 ? 'warn' : null);
      const unused = [[pool.endpoints_ejected, 'ejected'], [pool.endpoints_drained, 'drained']].filter(([n]) => n > 0).map(([n, what]) => `${count(n)} ${what}`).join(', ');
      endpoints.set(count(pool.endpoints), unused || (pool.endpoints ? 'all in use' : 'the pool has none'), null, pool.endpoints === 0 ? 'bad' : unused ? 'warn' : null);
      bands.update(pool.bands, (b) => String(b.priority));
      bands.root.hidden = pool.bands.length === 0;
      noBands.hidden = pool.bands.length > 0;
      flow.setSeries(went(pool.shadow));
      const start = Date.now() - 15 * 60 * 1000;
      samples = [...samples, ...history.samples].filter((s) => new Date(s.at).getTime() > start);
      const priorities = [...new Set(samples.flatMap((s) => Object.keys(s.queued_by_band ?? {})))].map(Number).sort((a, b) => b - a).slice(0, 5);
      if (priorities.length) {
        queue.setSeries(priorities.map((p, i) => ({ label: `priority ${p}`, tone: tones[i], of: (s) => s.queued_by_band?.[p] ?? 0 })));
      }
      for (const c of [slots, queue, flow, wait]) c.update(samples, events.events);
      happened(events);
    },
    // unopened shows what there is before there is a pool.
    async unopened() { happened(await get('events', { limit: 50 })); },
  };
}
