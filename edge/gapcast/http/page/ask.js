// Asks the gateway. Addresses are relative, so that the page works behind a proxy's prefix.

const KEY = "gapcast-token";

/** The gateway wants a token, or another one. */
export class Refused extends Error {}

/** The gateway answered with a problem; `status` is HTTP's. */
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

// A browser may refuse its storage: then the token lasts as long as the page.
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

/** Use `value` from now on (null: none); keep it over the tab's end where `keep` says so. */
export function setToken(value, keep = false) {
  token = value;
  put(sessionStorageOf, keep ? null : value);
  put(localStorageOf, keep ? value : null);
}

/** Return the response to `route`; throw Refused or Problem where it is not a good one. */
export async function request(route, options = {}) {
  // A browser would ask for a password by itself; this header lets the page ask for the token.
  const headers = { ...options.headers, "x-requested-with": "gapcast-page" };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  const response = await fetch(route, { ...options, headers, cache: "no-store" });
  if (response.status === 401) throw new Refused();
  if (!response.ok) throw new Problem(response.status, await detailOf(response));
  return response;
}

/** Return the JSON at `route`. */
export async function ask(route) {
  return (await request(route, { signal: AbortSignal.timeout(15_000) })).json();
}

async function detailOf(response) {
  try {
    return (await response.json()).detail ?? response.statusText;
  } catch {
    return response.statusText; // what a proxy says is no JSON
  }
}
