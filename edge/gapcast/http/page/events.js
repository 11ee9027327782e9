// The gateway's events, over fetch: EventSource cannot bear a token. Goes on by itself after a loss, where it was.

import { Problem, Refused, request } from "./ask.js";

// The gateway breaks its silence every 15 s; a line that is dead without a word is given up after this.
const SILENT_MS = 35_000;
const [FIRST_WAIT_MS, LONGEST_WAIT_MS] = [500, 4_000];

/** Take apart what comes: calls `tell({id, event, data})` for each whole event. */
export function reader(tell) {
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
      if (event.data) tell(event);
    }
  };
}

/**
 * Listen for ever. `on.event(kind, document)`; `on.open(isNew)`: a line stands, isNew where what came between may be
 * lost; `on.lost(why, answers)`; `on.refused()`, after which it is over until it is called again.
 */
export async function listen(on) {
  let lastId = null;
  let waitMs = FIRST_WAIT_MS;
  for (;;) {
    const giveUp = new AbortController();
    let silence = setTimeout(() => giveUp.abort(), SILENT_MS);
    try {
      const headers = { accept: "text/event-stream" };
      if (lastId !== null) headers["last-event-id"] = lastId;
      const response = await request("events", { headers, signal: giveUp.signal });
      const read = reader(({ id, event, data }) => {
        if (id !== null) lastId = id;
        on.event(event, JSON.parse(data));
      });
      on.open(lastId === null);
      waitMs = FIRST_WAIT_MS;
      const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await chunks.read();
        if (done) break;
        clearTimeout(silence);
        silence = setTimeout(() => giveUp.abort(), SILENT_MS);
        read(value);
      }
      on.lost("it ended the connection", false);
    } catch (error) {
      if (error instanceof Refused) {
        on.refused();
        return;
      }
      if (error instanceof Problem) on.lost(error.message, true);
      else on.lost("it does not answer", false);
    } finally {
      clearTimeout(silence);
      giveUp.abort();
    }
    await new Promise((go) => setTimeout(go, waitMs));
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  }
}
