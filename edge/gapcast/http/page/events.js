// The event stream of the gateway, over fetch because EventSource cannot send a bearer token. After a lost connection it
// reconnects and continues after the last event, also after the tab was hidden.

import { Problem, Unauthorized, request } from "./api.js";

// The gateway sends something at least every 15 s; without any data for this long, the connection is dead.
const SILENT_MS = 35_000;
// By the clock and not by one long timer, which stands still while the computer sleeps.
const CHECK_MS = 5_000;
const [FIRST_WAIT_MS, MAX_WAIT_MS] = [500, 4_000];
// Browsers allow six connections to an origin over HTTP/1.1, in all tabs: a tab that is hidden for this long releases its own.
const HIDDEN_MS = 30_000;

let hiddenMs = document.hidden ? Date.now() : null;
document.addEventListener("visibilitychange", () => {
  hiddenMs = document.hidden ? Date.now() : null;
});

const isLongHidden = () => hiddenMs !== null && Date.now() - hiddenMs >= HIDDEN_MS;
const becomesVisible = () => new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));

/** Return a parser of text chunks that calls `onEvent({id, event, data})` for each complete event. */
export function eventParser(onEvent) {
  let rest = "";
  return (text) => {
    rest += text;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = { id: null, event: "message", data: "" };
      for (const line of part.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (event.data) onEvent(event);
    }
  };
}

/**
 * Listen until the gateway rejects the token. Calls `on.event(kind, document)`; `on.open(isNew)` when connected, isNew if
 * events may have been missed; `on.lost(reason, isReachable)`; and `on.unauthorized()`, then returns.
 */
export async function listen(on) {
  let lastId = null;
  let waitMs = FIRST_WAIT_MS;
  for (;;) {
    const controller = new AbortController();
    let heardMs = Date.now();
    const check = setInterval(() => {
      const silentMs = Date.now() - heardMs;
      if (silentMs > SILENT_MS || isLongHidden()) controller.abort();
      else if (silentMs < 0) heardMs = Date.now(); // the clock was set back
    }, CHECK_MS);
    try {
      const headers = { accept: "text/event-stream" };
      if (lastId !== null) headers["last-event-id"] = lastId;
      const response = await request("events", { headers, signal: controller.signal });
      const parse = eventParser(({ id, event, data }) => {
        if (id !== null) lastId = id;
        on.event(event, JSON.parse(data));
      });
      on.open(lastId === null);
      waitMs = FIRST_WAIT_MS;
      const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await chunks.read();
        if (done) break;
        heardMs = Date.now();
        parse(value);
      }
      on.lost("connection closed", false);
    } catch (error) {
      if (error instanceof Unauthorized) {
        on.unauthorized();
        return;
      }
      if (error instanceof Problem) on.lost(error.message, error.isGateway);
      else if (!isLongHidden()) on.lost("no response", false);
    } finally {
      clearInterval(check);
      controller.abort();
    }
    if (isLongHidden()) await becomesVisible();
    else await new Promise((go) => setTimeout(go, waitMs));
    waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
  }
}
