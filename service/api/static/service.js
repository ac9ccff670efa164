// Asks the service for predictions, and tells in words what went wrong.

import { apiKey } from './key.js';

const PATIENCE = 10_000; // milliseconds that an answer may take
const GATEWAY_PATIENCE = 60_000; // for how long a proxy without a service behind it is asked again
const GATEWAY = [502, 503, 504]; // a proxy's words for that

/** Why there is no answer.
 *
 * `patience` is for how many milliseconds to ask again, `pause` how many to wait before that at least.
 * `overloaded` says to ask less often each time, `proxy` that it was not the service that answered.
 */
export class Failure extends Error {
  constructor(message, { status = 0, patience = 0, pause = 0, overloaded = false, proxy = false } = {}) {
    super(message);
    Object.assign(this, { status, patience, pause, overloaded, proxy });
  }
}

/** Post a body, such as a picture's file, and return the answer, which replica gave it and how long it took. */
export async function predict(body, options = {}) {
  const key = apiKey();
  const headers = { 'Content-Type': body.type, ...(key ? { 'X-API-Key': key } : {}) };
  const started = performance.now();
  const response = await reach(`predict?${new URLSearchParams(options)}`, { method: 'POST', body, headers });
  const answer = await readJSON(response);
  if (!response.ok) throw told(response, answer);
  if (answer === null) {
    throw stranger('answered in its place');
  }
  const milliseconds = performance.now() - started;
  return { answer, replica: response.headers.get('X-Served-By') ?? 'an unknown replica', milliseconds };
}

/** Return JSON as the body of a question. */
export function jsonBody(value) {
  return new Blob([JSON.stringify(value)], { type: 'application/json' });
}

async function reach(address, init) {
  try {
    const response = await fetch(address, { ...init, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE) });
    if (response.type !== 'opaqueredirect') return response;
  } catch (error) {
    const late = error.name === 'TimeoutError';
    throw new Failure(late ? 'The service does not answer' : 'The service can’t be reached', { patience: Infinity });
  }
  throw stranger('leads elsewhere');
}

function stranger(did) {
  return new Failure(`Something between this page and the service ${did}. Load the page again: it may want you to sign in.`, { proxy: true });
}

/** Return the object that a response says in JSON, or null if it says something else, as proxies do. */
async function readJSON(response) {
  try {
    const said = await response.json();
    return typeof said === 'object' ? said : null;
  } catch {
    return null;
  }
}

function told(response, problem) {
  const { status } = response;
  const pause = 1000 * (Number(response.headers.get('Retry-After')) || 0);
  if (problem === null) {
    const name = `${status} ${response.statusText}`.trim();
    const patience = GATEWAY.includes(status) ? GATEWAY_PATIENCE : 0;
    return new Failure(`A proxy in front of the service answers ${name}`, { status, patience, proxy: true });
  }
  if (status === 429 || status >= 500) {
    const what = status === 503 || status === 429 ? 'The service is busy' : 'The service is in trouble';
    return new Failure(what, { status, pause, patience: Infinity, overloaded: true });
  }
  return new Failure(`${problem.title ?? 'That did not work'}: ${problem.detail ?? status}`, { status });
}
