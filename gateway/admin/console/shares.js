// Shares: what priorities and groups should have of the pool, and what they had.

import { attr, bar, el, table, text } from './dom.js';
import { count, duration, groupName, slots } from './format.js';

// had fills a cell with a bar of the slots of the last minute, and a mark at what is guaranteed.
function had(scale) {
  return (td) => {
    const set = bar(td);
    return ({ account: { had: [minute], guaranteed_slots: guaranteed } }) => {
      set((minute?.slots ?? 0) / scale.top, guaranteed ? guaranteed / scale.top : null, minute ? slots(minute.slots) : '–');
    };
  };
}

// over is the slots over a longer time, the i-th; nobody may have watched for longer than a shorter one.
const over = (i) => ({ account: { had: of } }) => (of[i] && of[i].span_ms > of[i - 1].span_ms ? slots(of[i].slots) : '–');

// below fills a cell with how long a guarantee was not kept.
function below(td) {
  const words = el('span');
  td.append(words);
  return ({ account }) => {
    const ms = account.had.at(-1)?.below_ms ?? 0;
    text(words, account.guaranteed_slots ? duration(ms) : '–');
    attr(words, 'class', ms > 0 ? 'pill' : null);
    attr(words, 'data-tone', ms > 0 ? 'bad' : null);
  };
}

// shares is a card that is there where anything is configured of what priorities and groups should have.
export function shares() {
  const scale = { top: 1 };
  const list = table('Shares of the pool, in slots', [
    { key: 'id', label: 'Of', cell: (s) => s.name },
    { key: 'in_flight', label: 'Has', number: true, cell: (s) => count(s.account.in_flight) },
    { key: 'due', label: 'Due now', number: true, cell: (s) => slots(s.account.entitled_slots) },
    { key: 'guaranteed', label: 'Guaranteed', number: true, cell: (s) => (s.account.guaranteed_slots ? slots(s.account.guaranteed_slots) : '–') },
    { key: 'minute', label: 'Had in the last minute', wide: true, make: had(scale) },
    { key: 'five', label: 'In 5 minutes', number: true, cell: over(1) },
    { key: 'hour', label: 'In an hour', number: true, cell: over(2) },
    { key: 'below', label: 'Below its guarantee', number: true, make: below },
  ]);
  const root = el('details', { class: 'card', open: innerWidth > 720, hidden: true }, el('summary', {}, el('h2', {}, 'Shares of the pool')),
    el('p', { class: 'explains' }, 'In slots: what each should have now of those that it wants, and what it had on average. The mark is what it is guaranteed while it waits; for how long it was below that is of the last hour.'), list.root);
  return {
    root,
    update({ shares: priorities, groups_over_priorities: groups }) {
      root.hidden = groups.length === 0 && !priorities.some((p) => p.weight > 0 || p.guaranteed_slots > 0);
      const all = [
        ...priorities.map((p) => ({ name: `priority ${p.priority}`, account: p })),
        ...groups.map((g) => ({ name: groupName(g.group), account: g })),
      ];
      scale.top = Math.max(1, ...all.map(({ account }) => Math.max(account.guaranteed_slots, account.had[0]?.slots ?? 0)));
      list.update(all, (s) => s.name);
    },
  };
}
