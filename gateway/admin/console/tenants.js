// Tenants: what each gets against what it should have; and one of them.

import { limits } from './actions.js';
import { attr, bar, card, el, table, text } from './dom.js';
import { big, count, decimal, duration, groupName, own, percent, rate, waited } from './format.js';
import { shares } from './shares.js';

const pageSize = 50;

export const flowLink = (id, priority) => `#/tenant/${encodeURIComponent(id)}/${priority}`;

// share fills a cell with a bar of the share, and a mark where it should end.
function share(scale) {
  return (td) => {
    const set = bar(td);
    return (f) => {
      set(f.share / scale.top, f.entitled / scale.top, f.share || f.entitled ? `${percent(f.share)} / ${percent(f.entitled)}` : '–');
      const short = f.queued > 0 && !f.at_limit && !f.at_maximum && f.share < 0.8 * f.entitled;
      attr(td, 'data-tone', short ? 'warn' : null);
    };
  };
}

function named(td, f) {
  const a = el('a', { href: flowLink(f.id, f.priority) });
  td.append(a);
  attr(td, 'class', 'name');
  attr(a, 'title', f.id);
  return (now) => text(a, now.id);
}

function limited(td) {
  const words = el('span');
  td.append(words);
  return (f) => {
    text(words, own(f.limit) || '–');
    attr(words, 'class', f.at_limit ? 'pill' : null);
    attr(words, 'data-tone', f.at_limit ? 'warn' : null);
    attr(words, 'title', f.at_limit ? 'It is at its limit: what waits has no room' : null);
  };
}

// mostOf is what a group has in flight of its maximum.
const mostOf = (g) => (g.maximum === null ? '–' : `${count(g.in_flight_of_all)} of ${count(g.maximum)}`);

// atMost fills a cell with that, and says whether it is reached.
function atMost(td) {
  const words = el('span');
  td.append(words);
  return (g) => {
    text(words, mostOf(g));
    attr(words, 'class', g.at_maximum ? 'pill' : null);
    attr(words, 'data-tone', g.at_maximum ? 'warn' : null);
    attr(words, 'title', g.at_maximum ? 'It is at its maximum: what waits of it has no room' : null);
  };
}

// groupTable shows the groups: what each gets of its priority, and its maximum.
function groupTable(scale) {
  return table('Groups', [
    { key: 'id', label: 'Group', cell: (g) => groupName(g.group) },
    { key: 'priority', label: 'Priority', number: true, cell: (g) => g.priority },
    { key: 'share', label: 'Share / due', wide: true, make: share(scale) },
    { key: 'in_flight', label: 'In flight', number: true, cell: (g) => count(g.in_flight) },
    { key: 'queued', label: 'Waiting', number: true, cell: (g) => count(g.queued) },
    { key: 'maximum', label: 'Of its maximum', number: true, make: atMost },
    { key: 'flows', label: 'Tenants', number: true, minor: true, cell: (g) => count(g.flows) },
    { key: 'weight', label: 'Weight', number: true, minor: true, cell: (g) => decimal(g.weight) },
  ]);
}

export function columns(scale) {
  return [
    { key: 'id', label: 'Tenant', sort: 'id', make: named },
    { key: 'group', label: 'Group', cell: (f) => groupName(f.group) },
    { key: 'priority', label: 'Priority', sort: 'priority', number: true, cell: (f) => f.priority },
    { key: 'share', label: 'Share / due', sort: 'share', wide: true, make: share(scale) },
    { key: 'in_flight', label: 'In flight', sort: 'in_flight', number: true, cell: (f) => count(f.in_flight) },
    { key: 'queued', label: 'Waiting', sort: 'queued', number: true, cell: (f) => count(f.queued) },
    { key: 'oldest', label: 'Longest wait', sort: 'oldest', number: true, minor: true, cell: (f) => (f.queued ? duration(f.oldest_ms) : '–') },
    { key: 'p50', label: 'Half within', number: true, minor: true, cell: (f) => waited(f.recent, 'wait_p50_ms') },
    { key: 'p99', label: '99% within', sort: 'wait', number: true, cell: (f) => waited(f.recent, 'wait_p99_ms') },
    { key: 'requests', label: 'Requests/s', sort: 'requests', number: true, cell: (f) => rate(f.recent.dispatched_per_second) },
    { key: 'refused', label: 'Not served/s', sort: 'refused', number: true, minor: true, played: true, cell: (f) => rate(f.recent.refused_per_second + f.recent.evicted_per_second) },
    { key: 'tokens', label: 'Tokens', sort: 'tokens', number: true, minor: true, cell: (f) => big(f.served_tokens) },
    { key: 'weight', label: 'Weight', sort: 'weight', number: true, minor: true, cell: (f) => decimal(f.weight) },
    { key: 'limit', label: 'Own limit', minor: true, make: limited },
  ];
}

export function tenants({ get, refresh }) {
  const asked = { sort: '-queued', flow: '', group: '', state: '', offset: 0 };
  let force = true;
  const change = (to) => {
    Object.assign(asked, { offset: 0 }, to);
    force = true;
    refresh();
  };
  const scale = { top: 1 };
  const flows = table('Tenants', columns(scale), {
    onSort: (c) => change({ sort: asked.sort === `-${c.sort}` ? c.sort : asked.sort === c.sort ? `-${c.sort}` : c.sort === 'id' ? 'id' : `-${c.sort}` }),
  });
  let typing = 0;
  const search = el('input', { type: 'search', id: 'search', placeholder: 'a part of the name', on: { input: () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ flow: search.value }), 200);
  } } });
  const state = el('select', { id: 'which', on: { change: () => change({ state: state.value }) } },
    el('option', { value: '' }, 'all'), el('option', { value: 'waiting' }, 'that wait'), el('option', { value: 'in_flight' }, 'in flight'), el('option', { value: 'at_limit' }, 'at a limit of their own'));
  const group = el('select', { id: 'group', on: { change: () => change({ group: group.value }) } }, el('option', { value: '' }, 'all'));
  const groups = el('label', { for: 'group', hidden: true }, 'Group ', group);
  let known = ''; // the groups that can be chosen
  let groupsOf = [];
  const ofPool = shares();
  let looks = 0;
  const where = el('span', { 'aria-live': 'polite' });
  const back = el('button', { type: 'button', on: { click: () => change({ offset: Math.max(0, asked.offset - pageSize) }) } }, 'Back');
  const next = el('button', { type: 'button', on: { click: () => change({ offset: asked.offset + pageSize }) } }, 'Next');
  const none = el('p', { class: 'empty' });
  const groupScale = { top: 1 };
  const allGroups = groupTable(groupScale);
  const groupCard = el('details', { class: 'card', open: innerWidth > 720 }, el('summary', {}, el('h2', {}, 'Groups')),
    el('p', { class: 'explains' }, 'What each group got of its priority, as below. A maximum is of what is in flight at all priorities, with the groups in it.'), allGroups.root);
  const root = el('section', { class: 'card tenants' },
    el('div', { class: 'tools' },
      el('label', { for: 'search' }, 'Find ', search), el('label', { for: 'which' }, 'Show ', state), groups,
      el('span', { class: 'pages' }, where, back, next)),
    el('p', { class: 'explains' }, 'The bar is what a tenant got of its priority in the last minute; the mark is what it is due, by its weight and those of its groups, beside those that wait now: it jumps where few clients are. All bars are on one scale.'),
    flows.root, none);
  return {
    title: 'Tenants',
    root: el('div', { class: 'detail' }, ofPool.root, groupCard, root),
    every: 2000,
    async load() {
      const answer = await get('flows', { ...asked, limit: pageSize });
      if (looks % (ofPool.root.hidden ? 10 : 2) === 0) { // they cost as much as the flows
        const told = await get('shares');
        groupsOf = told.groups;
        ofPool.update(told);
      }
      looks += 1;
      groupScale.top = Math.max(0.01, ...groupsOf.map((g) => Math.max(g.share, g.entitled)));
      allGroups.update(groupsOf, (g) => `${g.priority} ${g.group}`);
      groupCard.hidden = groupsOf.length === 0;
      const paths = [...new Set(groupsOf.map((g) => g.group))].sort();
      if (asked.group && !paths.includes(asked.group)) paths.push(asked.group);
      attr(groups, 'hidden', paths.length === 0);
      attr(root, 'data-grouped', paths.length > 0);
      if (known !== paths.join('\n')) {
        known = paths.join('\n');
        group.replaceChildren(el('option', { value: '' }, 'all'), ...paths.map((path) => el('option', { value: path }, groupName(path))));
        group.value = asked.group;
      }
      scale.top = Math.max(0.01, ...answer.flows.map((f) => Math.max(f.share, f.entitled)));
      flows.sorted(asked.sort);
      flows.update(answer.flows, (f) => `${f.priority} ${f.id}`, force);
      force = false;
      none.hidden = answer.flows.length > 0;
      text(none, asked.flow || asked.state || asked.group ? 'No tenant is like that.' : 'No tenant has had a request of late.');
      const to = answer.offset + answer.flows.length;
      text(where, answer.total ? `${count(answer.offset + 1)} to ${count(to)} of ${count(answer.total)}` : '');
      back.disabled = answer.offset === 0;
      next.disabled = answer.next === undefined;
    },
  };
}

// tenant is one of them.
export function tenant({ argument: [id, priority], get, act }) {
  const set = limits(id, act);
  const facts = el('dl', { class: 'facts' });
  const values = {};
  for (const [key, label] of [['share', 'Share'], ['entitled', 'Due'], ['in_flight', 'In flight'], ['queued', 'Waiting'], ['oldest', 'Longest wait'], ['p50', 'Half wait at most'],
    ['p99', '99% wait at most'], ['rate', 'Requests a second'], ['refused', 'Not served a second'], ['served', 'Served requests'], ['tokens', 'Served tokens'], ['tokens_in', 'Prompts, tokens'], ['tokens_cached', 'Of these cached'], ['tokens_out', 'Answers, tokens'],
    ['weight', 'Weight'], ['group', 'Group'], ['limit', 'Own limit'], ['owner', 'Queued at']]) {
    values[key] = el('dd');
    facts.append(el('div', {}, el('dt', { class: key === 'refused' ? 'played' : null }, label), values[key]));
  }
  const gone = el('p', { class: 'empty' }, 'The fleet does not remember this tenant: it has had no request for a while.');
  const waiting = table('Its requests, the longest waiting first', [
    { key: 'id', label: 'Request', make: (td, r) => {
      const a = el('a', { href: `#/request/${encodeURIComponent(r.id)}`, class: 'id' }, r.id);
      td.append(a);
      return () => {};
    } },
    { key: 'state', label: 'State', cell: (r) => (r.state === 'waiting' ? 'waits' : 'in flight') },
    { key: 'age', label: 'Since', number: true, cell: (r) => duration(r.age_ms) },
    { key: 'tokens', label: 'Tokens, estimated', number: true, cell: (r) => big(r.input_tokens + r.output_tokens) },
    { key: 'ingress', label: 'Came in by', cell: (r) => r.ingress },
    { key: 'where', label: 'Where', cell: (r) => (r.state === 'waiting' ? `queue of ${r.owner}` : r.endpoint || '–') },
  ]);
  const nothing = el('p', { class: 'empty' }, 'Nothing waits and nothing is in flight.');
  return {
    title: id ?? 'Tenant',
    root: el('div', { class: 'detail' }, card(`At priority ${priority}`, facts, gone), set.root, card('Requests', waiting.root, nothing)),
    every: 2000,
    async load() {
      const [answer, requests, overrides] = await Promise.all([
        get('flows', { flow: id, priority, limit: 1000 }), get('requests', { flow: id, priority, limit: 50 }), get('overrides'),
      ]);
      set.update(overrides);
      const f = answer.flows.find((x) => x.id === id);
      gone.hidden = f !== undefined;
      facts.hidden = f === undefined;
      if (f) {
        const show = {
          share: percent(f.share), entitled: percent(f.entitled), in_flight: count(f.in_flight), queued: count(f.queued), oldest: f.queued ? duration(f.oldest_ms) : '–',
          p50: waited(f.recent, 'wait_p50_ms'), p99: waited(f.recent, 'wait_p99_ms'), rate: rate(f.recent.dispatched_per_second),
          refused: rate(f.recent.refused_per_second + f.recent.evicted_per_second), served: count(f.served_requests), tokens: count(f.served_tokens),
          tokens_in: count(f.tokens_in), tokens_cached: count(f.tokens_cached), tokens_out: count(f.tokens_out),
          weight: decimal(f.weight), group: groupName(f.group), limit: own(f.limit) ? `${own(f.limit)}${f.at_limit ? ' – reached' : ''}` : 'none', owner: f.owner || '–',
        };
        for (const [key, value] of Object.entries(show)) text(values[key], value);
      }
      waiting.update(requests.requests, (r) => r.ticket);
      nothing.hidden = requests.requests.length > 0;
    },
  };
}
