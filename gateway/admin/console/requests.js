// Requests: what waits and is in flight; and one of them: why it waits.

import { doing } from './actions.js';
import { attr, card, el, Keyed, pill, table, text, width } from './dom.js';
import { big, bytes, count, duration, groupName, own, time } from './format.js';
import { flowLink } from './tenants.js';

// place is where a request is: in line at its ingress it is in no queue any more.
function place(r) {
  if (r.in_line) return `next: goes when a request of ${r.ingress} ends`;
  return r.state === 'waiting' ? `queue of ${r.owner}` : r.endpoint || '–';
}

export function requests({ get, refresh }) {
  let state = 'waiting';
  let force = true;
  const find = el('input', { id: 'find', placeholder: 'x-request-id', required: true });
  const form = el('form', { on: { submit: (e) => {
    e.preventDefault();
    location.hash = `#/request/${encodeURIComponent(find.value.trim())}`;
  } } }, el('label', { for: 'find' }, 'Why does this one wait? ', find), el('button', {}, 'Ask'));
  const choose = el('select', { id: 'choose', on: { change: () => { state = choose.value; force = true; refresh(); } } },
    el('option', { value: 'waiting' }, 'that wait'), el('option', { value: 'in_flight' }, 'in flight'));
  const total = el('span', { class: 'pages', 'aria-live': 'polite' });
  const list = table('Requests, the oldest first', [
    { key: 'id', label: 'Request', make: (td, r) => {
      td.append(el('a', { href: `#/request/${encodeURIComponent(r.id)}`, class: 'id' }, r.id));
      return () => {};
    } },
    { key: 'flow', label: 'Tenant', make: (td, r) => {
      td.append(el('a', { href: flowLink(r.flow, r.priority) }, r.flow));
      return () => {};
    } },
    { key: 'priority', label: 'Priority', number: true, cell: (r) => r.priority },
    { key: 'age', label: 'Since', number: true, cell: (r) => duration(r.age_ms) },
    { key: 'tokens', label: 'Tokens, estimated', number: true, minor: true, cell: (r) => big(r.input_tokens + r.output_tokens) },
    { key: 'bytes', label: 'Body', number: true, minor: true, cell: (r) => bytes(r.bytes) },
    { key: 'ingress', label: 'Came in by', minor: true, cell: (r) => r.ingress },
    { key: 'where', label: 'Where', minor: true, cell: place },
  ]);
  const none = el('p', { class: 'empty' });
  return {
    title: 'Requests',
    root: el('section', { class: 'card' }, el('div', { class: 'tools' }, form, el('label', { for: 'choose' }, 'Show those ', choose), total), list.root, none),
    every: 2000,
    async load() {
      const answer = await get('requests', { state, limit: 100 });
      list.update(answer.requests, (r) => r.ticket, force);
      force = false;
      none.hidden = answer.requests.length > 0;
      text(none, state === 'waiting' ? 'Nobody waits.' : 'Nothing is in flight.');
      text(total, answer.total > answer.requests.length ? `the first ${count(answer.requests.length)} of ${count(answer.total)}` : `${count(answer.total)}`);
    },
  };
}

// request says why one waits.
export function request({ argument: [id], get, act }) {
  const end = doing('End this request', async () => {
    if (confirm('End this request? Its client is answered that an operator did.')) await act('DELETE', `requests/${encodeURIComponent(id)}`);
  });
  end.root.hidden = true;
  const held = pill();
  const reason = el('p', { class: 'reason' });
  const where = el('p', { class: 'place' });
  const facts = el('dl', { class: 'facts' });
  const fact = (label) => {
    const dd = el('dd');
    facts.append(el('div', {}, el('dt', {}, label), dd));
    return dd;
  };
  const values = { flow: fact('Tenant'), priority: fact('Priority'), age: fact('Since'), arrived: fact('Came in at'), ingress: fact('By'), where: fact('Where'), tokens: fact('Tokens, estimated'), size: fact('Body'), deadline: fact('Waits until'), limit: fact('Limit of its tenant') };
  const tenant = el('a');
  values.flow.append(tenant);
  const list = el('ol', { class: 'ahead' });
  const scale = { top: 1 };
  const rows = new Keyed(list, (a) => {
    const bar = el('span', { class: 'fill' });
    const n = el('span', { class: 'value' });
    const name = a.flow ? el('a', { href: flowLink(a.flow, a.priority) }, a.flow) : el('span', {}, `all at priority ${a.priority}`);
    const root = el('li', {}, name, el('span', { class: 'meter', 'aria-hidden': 'true' }, bar), n);
    return { root, update(now) {
      text(n, count(now.requests));
      width(bar, now.requests / scale.top);
    } };
  });
  const nothing = el('p', { class: 'empty' }, 'Nothing is ahead of it.');
  const more = el('p', { class: 'explains' });
  let known = false; // a replica had it
  const ahead = card('Ahead of it', nothing, list, more);
  return {
    title: 'Request',
    root: el('div', { class: 'detail' }, el('section', { class: 'card why' }, el('p', { class: 'id' }, id), held.root, reason, where, facts, end.root), ahead),
    every: 1000,
    async load() {
      let r;
      let overrides;
      try {
        [r, overrides] = await Promise.all([get(`requests/${encodeURIComponent(id)}`), get('overrides')]);
      } catch (failed) {
        if (failed.status !== 404) throw failed;
        held.set('ended', 'none');
        text(reason, 'No replica has it any more: it was answered, or its client went away.');
        text(where, '');
        ahead.hidden = true;
        end.root.hidden = true;
        facts.hidden = !known;
        return;
      }
      known = true;
      end.root.hidden = !overrides.may_act || (r.state === 'in_flight' && r.priority >= 0);
      text(tenant, r.flow);
      attr(tenant, 'href', flowLink(r.flow, r.priority));
      const show = {
        priority: r.priority, age: duration(r.age_ms), arrived: time(r.arrived), ingress: r.ingress, where: place(r),
        tokens: big(r.input_tokens + r.output_tokens), size: bytes(r.bytes), deadline: r.deadline ? time(r.deadline) : '–', limit: own(r.why?.limit) || 'none',
      };
      for (const [key, value] of Object.entries(show)) text(values[key], value);
      ahead.hidden = r.why === undefined || r.in_line === true;
      if (!r.why) {
        held.set('in flight', 'good');
        text(reason, 'It went to the pool.');
        text(where, '');
        return;
      }
      held.set('waits', r.why.held_by === 'nothing' ? 'good' : 'warn');
      text(reason, `${r.why.reason[0].toUpperCase()}${r.why.reason.slice(1)}.`);
      const soon = r.why.expected_ms === null ? '' : ` About ${duration(r.why.expected_ms)} to go.`;
      const of = r.why.group ? `${count(r.why.in_group)} ${r.why.group === '*' ? 'among those in no group' : `in its group ${groupName(r.why.group)}`}` : `${count(r.why.in_band)} at priority ${r.priority}`;
      const beside = r.why.group ? ` ${count(r.why.in_band)} wait at priority ${r.priority}, where groups take turns.` : '';
      const stands = `Place ${count(r.why.place)} of ${of}, ${r.why.place_in_flow === 1 ? 'the next' : `number ${count(r.why.place_in_flow)}`} of its tenant.${beside}${soon}`;
      text(where, r.in_line ? soon.trim() : stands);
      scale.top = Math.max(1, ...r.why.ahead.map((a) => a.requests));
      rows.update(r.why.ahead, (a) => `${a.priority} ${a.flow ?? ''}`);
      nothing.hidden = r.why.ahead.length > 0;
      const unlisted = r.why.ahead_flows - r.why.ahead.filter((a) => a.flow).length;
      text(more, unlisted > 0 ? `and ${count(unlisted)} more tenants` : '');
    },
  };
}
