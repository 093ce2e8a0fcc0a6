// How figures are written.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const few = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const count = (n) => whole.format(n);
export const big = (n) => (Math.abs(n) < 10000 ? whole.format(n) : short.format(n));
export const decimal = (n) => few.format(n);
export const percent = (n) => (n > 0 && n < 0.001 ? '<0.1%' : `${one.format(100 * n)}%`);

// slots is a number of them, with as many decimals as say something.
export const slots = (n) => String(Math.round(n * (n < 10 ? 100 : 10)) / (n < 10 ? 100 : 10));

// rate is something a second.
export function rate(n) {
  if (n === 0) return '0';
  if (n < 0.05) return '<0.1';
  return n < 100 ? one.format(n) : big(n);
}

// duration is of milliseconds.
export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms === 0) return '0';
  if (ms < 1) return '<1 ms';
  if (ms < 1000) return `${ms < 10 ? few.format(ms) : whole.format(ms)} ms`;
  const s = ms / 1000;
  if (s < 100) return `${one.format(s)} s`;
  if (s < 2 * 3600) return `${whole.format(s / 60)} min`;
  if (s < 48 * 3600) return `${one.format(s / 3600)} h`;
  return `${whole.format(s / 86400)} days`;
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  if (n < 1e6) return `${few.format(n / 1e3)} kB`;
  return `${few.format(n / 1e6)} MB`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const minutes = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });

export const time = (at) => clock.format(new Date(at));
export const minute = (at) => minutes.format(new Date(at));
export const since = (at) => duration(Math.max(1, Date.now() - new Date(at).getTime()));

export const limit = (n) => (n === null || n === undefined ? 'no limit' : count(n));

// groupName is a group's path; those in no group share one that is called *.
export const groupName = (path) => (path ? path.replace(/\*$/, '(no group)') : '–');

// own says what a flow's own limit is.
export function own(l) {
  if (!l) return '';
  const parts = [];
  if (l.max_in_flight) parts.push(`${count(l.max_in_flight)} in flight`);
  if (l.tokens_per_minute) parts.push(`${big(l.tokens_per_minute)} tokens/min`);
  return parts.join(', ') + (l.rejects ? ', then refused' : '');
}

// waited is a wait of those that went of late, if any did.
export const waited = (recent, which) => (recent.dispatched_per_second > 0 ? duration(recent[which]) : '–');
