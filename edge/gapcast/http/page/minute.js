// Minutes as numbers.

export const MINUTE_MS = 60_000;

const DAY_MS = 1_440 * MINUTE_MS;

/** Whether a forecast or a demand was made in a replay, whose minutes are long over. */
export const isReplay = (document) => Date.parse(document.issued_at) - Date.parse(document.observed_at) > DAY_MS;

// A reading has the time of the last full or of the current minute; the gateway takes this much more for a delay.
const MAX_BEHIND_MIN = 6;
const MAX_AHEAD_MIN = 1;

/** Whether the meter's clock was right when a forecast was made, as the gateway sees it. */
export function isClockRight({ observed_at: observed, issued_at: issued }) {
  const ahead = minuteOf(observed) - Math.floor(Date.parse(issued) / MINUTE_MS);
  return -MAX_BEHIND_MIN <= ahead && ahead <= MAX_AHEAD_MIN;
}

export const minuteOf = (label) => Math.round(Date.parse(label) / MINUTE_MS);

/** The forecast power of each minute up to the horizon, kW; empty if the model does not forecast each of them. */
export const minutesKw = (forecast) => (forecast?.path && forecast.path.length === forecast.horizon_min ? forecast.path : []);

// After more than five missing minutes the gateway restarts a device's window, and forecasts again from the second reading.
const MAX_STEP_MIN = 6;

export const isAfterGap = (minute, newest) => newest !== null && minute - newest > MAX_STEP_MIN;
