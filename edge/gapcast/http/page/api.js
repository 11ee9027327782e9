// Requests to the gateway. URLs are relative, so that the page works behind a proxy with a path prefix.

import { setGatewayTime } from "./clock.js";

const KEY = "gapcast-token";

/** The gateway requires a token, or rejected the one it got. */
export class Unauthorized extends Error {}

/** The answer is an error, of HTTP `status`; `isGateway`: of the gateway itself, not of a proxy in front of it. */
export class Problem extends Error {
  constructor(status, detail, isGateway) {
    super(detail);
    this.status = status;
    this.isGateway = isGateway;
  }
}

let token = stored(sessionStorageOf) ?? stored(localStorageOf);

function sessionStorageOf() {
  return sessionStorage;
}

function localStorageOf() {
  return localStorage;
}

// A browser may block its storage: the token is then lost when the page is closed.
function stored(place) {
  try {
    return place().getItem(KEY);
  } catch {
    return null;
  }
}

function put(place, value) {
  try {
    if (value === null) place().removeItem(KEY);
    else place().setItem(KEY, value);
  } catch {
    return; // see above
  }
}

export function hasToken() {
  return token !== null;
}

/** Use the token `value` from now on (null: none). `remember` stores it beyond this tab. */
export function setToken(value, remember = false) {
  token = value;
  put(sessionStorageOf, remember ? null : value);
  put(localStorageOf, remember ? value : null);
}

// The status of a health document is 503 without a broker.
const isHealth = (response) => response.headers.get("content-type")?.startsWith("application/health+json");

/** Return the response of `route`; throw Unauthorized or Problem on an error status, unless it is of a health document. */
export async function request(route, options = {}) {
  // Without this header the browser would show its own password dialog on a 401.
  const headers = { ...options.headers, "x-requested-with": "gapcast-page" };
  // In UTF-8: a header has no characters beyond a byte.
  if (token !== null) headers.authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(token))}`;
  const sentMs = Date.now();
  const response = await fetch(route, { ...options, headers, cache: "no-store" });
  setGatewayTime(response.headers.get("date"), sentMs);
  if (response.ok || isHealth(response)) return response;
  if (response.status === 401 && response.headers.get("www-authenticate")?.includes("gapcast")) throw new Unauthorized();
  throw await problemOf(response);
}

/** Return the JSON at `route`. */
export async function getJson(route) {
  return (await request(route, { signal: AbortSignal.timeout(15_000) })).json();
}

async function problemOf(response) {
  const { status, statusText, headers } = response;
  const answer = `${status} ${statusText}`.trim(); // HTTP/2 has no text
  if (!headers.get("content-type")?.startsWith("application/problem+json")) {
    return new Problem(status, `a proxy answered ${answer}`, false);
  }
  const detail = await response.json().then((document) => document.detail, () => answer);
  return new Problem(status, detail, true);
}
