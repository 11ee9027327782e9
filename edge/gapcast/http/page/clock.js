// The gateway's clock, by the Date header of its responses: the clock of the browser may be off.

// Below this, the clocks agree: the header has whole seconds, and is on the way for a moment.
const PRECISION_MS = 2_000;
// A response that took longer says too little about the time, for example because the computer slept meanwhile.
const MAX_REQUEST_MS = 5_000;

let offsetMs = 0;

/** Take the `date` of a response (null: it has none) to a request that was sent at `sentMs`. */
export function setGatewayTime(date, sentMs) {
  const now = Date.now();
  const offset = Date.parse(date) - now;
  if (Number.isNaN(offset) || now < sentMs || now - sentMs > MAX_REQUEST_MS) return;
  offsetMs = Math.abs(offset) < PRECISION_MS ? 0 : offset;
}

/** The time by the gateway's clock, milliseconds; by the browser's until there is a response. */
export const gatewayNow = () => Date.now() + offsetMs;
