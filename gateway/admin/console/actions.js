// What operators set for a time, and take back. Nothing of it can be done where the admin
// address asks for no token.

import { attr, card, el, table, text } from './dom.js';
import { count, decimal, time } from './format.js';

const times = [['10m', '10 minutes'], ['1h', 'an hour'], ['8h', '8 hours'], ['24h', 'a day'], ['168h', 'a week']];

// setWords says what is set.
export function setWords(o) {
  const words = [];
  if (o.weight !== undefined) words.push(`weight ${decimal(o.weight)}`);
  if (o.max_in_flight !== undefined) words.push(o.max_in_flight ? `at most ${count(o.max_in_flight)} in flight` : 'no limit in flight');
  if (o.tokens_per_minute !== undefined) words.push(o.tokens_per_minute ? `${count(o.tokens_per_minute)} tokens a minute` : 'no limit of tokens');
  if (o.drain) words.push('drained');
  return words.join(', ');
}

// doing makes a button that does something, and says what went wrong.
export function doing(words, run) {
  const failed = el('span', { role: 'alert', class: 'failed' });
  const button = el('button', { type: 'button', on: { click: async () => {
    button.disabled = true;
    text(failed, '');
    try { await run(); } catch (e) { text(failed, e.message); }
    button.disabled = false;
  } } }, words);
  return { button, root: el('span', { class: 'doing' }, button, failed) };
}

const takeBack = (act, o) => act('DELETE', `overrides?${new URLSearchParams(o.endpoint ? { endpoint: o.endpoint } : { flow: o.flow })}`);

// limits sets a tenant's weight and limits.
export function limits(flow, act) {
  const field = (id, label, attributes) => {
    const input = el('input', { id, type: 'number', ...attributes });
    return [input, el('label', { for: id }, label, input)];
  };
  const [weight, weightLabel] = field('set-weight', 'Weight', { min: 0.01, step: 'any' });
  const [inFlight, inFlightLabel] = field('set-in-flight', 'In flight, at most', { min: 0, step: 1 });
  const [tokens, tokensLabel] = field('set-tokens', 'Tokens a minute', { min: 0, step: 1 });
  const holds = el('select', { id: 'set-for' }, ...times.map(([value, label]) => el('option', { value }, label)));
  const why = el('input', { id: 'set-why', maxlength: 500 });
  const failed = el('p', { role: 'alert', class: 'failed' });
  const form = el('form', { class: 'set', on: { submit: async (e) => {
    e.preventDefault();
    const set = { flow, for: holds.value };
    if (weight.value !== '') set.weight = Number(weight.value);
    if (inFlight.value !== '') set.max_in_flight = Number(inFlight.value);
    if (tokens.value !== '') set.tokens_per_minute = Number(tokens.value);
    if (why.value !== '') set.why = why.value;
    text(failed, '');
    try {
      await act('POST', 'overrides', set);
      form.reset();
    } catch (wrong) { text(failed, wrong.message); }
  } } }, weightLabel, inFlightLabel, tokensLabel, el('label', { for: 'set-for' }, 'For', holds), el('label', { for: 'set-why' }, 'Why', why), el('button', { class: 'main' }, 'Set'));
  const now = el('span');
  let set = null;
  const back = doing('Take it back', () => takeBack(act, set));
  const line = el('p', { class: 'is-set' }, now, ' ', back.root);
  const root = card('Set for a time', el('p', { class: 'explains' }, 'At all its priorities and all replicas. What is left empty stays as configured; a limit of 0 is none.'), line, form, failed);
  return { root, update(answer) {
    set = answer.overrides.find((o) => o.flow === flow) ?? null;
    line.hidden = set === null;
    if (set) text(now, `${setWords(set)}, until ${time(set.until)}${set.why ? ` – ${set.why}` : ''}`);
    root.hidden = !answer.may_act && set === null;
    form.hidden = !answer.may_act;
    back.root.hidden = !answer.may_act;
  } };
}

// changes lists everything that is set.
export function changes(act) {
  let acted = false; // a row that was just taken back goes, whatever is under the cursor
  const list = table('Set for a time', [
    { key: 'of', label: 'Of', cell: (o) => (o.endpoint ? `endpoint ${o.endpoint}` : o.flow) },
    { key: 'set', label: 'Set', cell: setWords },
    { key: 'until', label: 'Until', number: true, cell: (o) => time(o.until) },
    { key: 'why', label: 'Why', minor: true, cell: (o) => o.why || '–' },
    { key: 'act', label: 'Action', make: (td, o) => {
      const back = doing('Take it back', async () => {
        acted = true;
        await takeBack(act, o);
      });
      td.append(back.root);
      return (now) => { back.root.hidden = !now.may_act; };
    } },
  ]);
  const none = el('p', { class: 'empty' });
  const root = card('Set for a time', none, list.root);
  return { root, update(answer) {
    attr(root, 'data-acts', answer.may_act);
    list.update(answer.overrides.map((o) => ({ ...o, may_act: answer.may_act })), (o) => `${o.endpoint ?? ''} ${o.flow ?? ''}`, acted);
    acted = false;
    list.root.hidden = answer.overrides.length === 0;
    none.hidden = answer.overrides.length > 0;
    text(none, answer.may_act ? 'Nothing: all is as configured. A tenant\u2019s page sets its weight and limits, the endpoints\u2019 page drains one.'
      : 'Nothing. Something can be set where the admin address asks for a token (weir.adminTokenFile).');
  } };
}
