// Requests to the gateway. URLs are relative, so that the page works behind a proxy with a path prefix.

import { setGatewayTime } from "./clock.js";

const KEY = "gapcast-token";

/** The gateway requires a token, or rejected the one it got. */
export class Unauthorized extends Error {}

/** The gateway answered with an error; `status` is the HTTP status. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
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

/** Return the response of `route`; throw Unauthorized or Problem on an error status. */
export async function request(route, options = {}) {
  // Without this header the browser would show its own password dialog on a 401.
  const headers = { ...options.headers, "x-requested-with": "gapcast-page" };
  // In UTF-8: a header has no characters beyond a byte.
  if (token !== null) headers.authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(token))}`;
  const sentMs = Date.now();
  const response = await fetch(route, { ...options, headers, cache: "no-store" });
  setGatewayTime(response.headers.get("date"), sentMs);
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) throw new Problem(response.status, await detailOf(response));
  return response;
}

/** Return the JSON at `route`. */
export async function getJson(route) {
  return (await request(route, { signal: AbortSignal.timeout(15_000) })).json();
}

async function detailOf(response) {
  try {
    return (await response.json()).detail ?? response.statusText;
  } catch {
    return response.statusText; // a proxy's error page is not JSON
  }
}
