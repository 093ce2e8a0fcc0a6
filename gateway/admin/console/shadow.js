// Shadow: what flow control would do, while it is only played beside what runs.

import { el, table, text } from './dom.js';
import { count, duration, percent, time } from './format.js';

const then = (f, ms) => (f.would_dispatch > 0 ? duration(ms) : '–');

export function shadow({ get }) {
  const words = el('p');
  const flows = table('Tenants, those with most requests first', [
    { key: 'id', label: 'Tenant', cell: (f) => f.id },
    { key: 'priority', label: 'Priority', number: true, cell: (f) => f.priority },
    { key: 'requests', label: 'Requests', number: true, cell: (f) => count(f.requests) },
    { key: 'share', label: 'Share', number: true, cell: (f) => percent(f.share) },
    { key: 'would', label: 'Would get', number: true, cell: (f) => percent(f.would_share) },
    { key: 'p50', label: 'Half within', number: true, cell: (f) => then(f, f.would_wait_p50_ms) },
    { key: 'p99', label: '99% within', number: true, cell: (f) => then(f, f.would_wait_p99_ms) },
    { key: 'refused', label: 'Refused', number: true, cell: (f) => count(f.would_refuse) },
    { key: 'evicted', label: 'Timed out', number: true, cell: (f) => count(f.would_evict) },
  ]);
  return {
    title: 'Shadow',
    root: el('section', { class: 'card' }, words, flows.root),
    async load() {
      const r = await get('shadow', { limit: 100 });
      text(words, !r.since ? 'No replica has played flow control.'
        : `Since ${time(r.since)}${r.on ? '' : ` until ${time(r.until)}`} ${count(r.all.requests)} requests went at once. Flow control would have let ${count(r.all.would_dispatch)} go, refused ${count(r.all.would_refuse)} and timed out ${count(r.all.would_evict)}.`);
      flows.update(r.flows, (f) => `${f.priority} ${f.id}`);
    },
  };
}
