// Asks the replica that this page came from, and nobody else.

// The token is kept for this tab, and only ever sent in a header.
const kept = 'weir-admin-token';

export class Unauthorized extends Error {}

export function setToken(token) {
  if (token) sessionStorage.setItem(kept, token);
  else sessionStorage.removeItem(kept);
}

export const hasToken = () => sessionStorage.getItem(kept) !== null;

// The pool that is asked about, where the replica has several, is in the page's address: a
// reload, and whoever is sent the link, see the same one.
export const pool = () => new URLSearchParams(location.search).get('pool') ?? '';

export function setPool(name) {
  if (name === pool()) return;
  const to = new URL(location.href);
  if (name) to.searchParams.set('pool', name);
  else to.searchParams.delete('pool');
  history.replaceState(null, '', to);
}

// get asks for a path below /v1/ with parameters; those that are empty are left out.
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, value);
  }
  const text = query.toString();
  return ask('GET', `${path}${text ? `?${text}` : ''}`, undefined, signal);
}

// ask makes a request below /v1/ about a pool, with a body if there is one.
export async function ask(method, path, body = undefined, signal = undefined, of = pool()) {
  const headers = {};
  if (of && path !== 'pools') path += `${path.includes('?') ? '&' : '?'}pool=${encodeURIComponent(of)}`;
  const token = sessionStorage.getItem(kept);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const answer = await fetch(`v1/${path}`, {
    method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store', credentials: 'omit', redirect: 'error',
  });
  if (answer.status === 401) throw new Unauthorized();
  if (!answer.ok) {
    let message = `status ${answer.status}`;
    try { message = (await answer.json()).error || message; } catch { /* it is not of the API's */ }
    const failed = new Error(message);
    failed.status = answer.status;
    throw failed;
  }
  return answer.json();
}
