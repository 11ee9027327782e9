// Formats numbers, times and states for display.

import { gatewayNow } from "./clock.js";
import { MINUTE_MS, isReplay } from "./minute.js";

export const NOTHING = "–";
export const PERIODS = { last_day: "Last day", last_week: "Last week", all_time: "All time" };
export const PERCENT = "\u00a0%"; // not broken from its number at the end of a line
// Outcomes needed before scores are shown. The gateway decides this by `sufficient`; this is for the progress bar.
export const MIN_OUTCOMES = 720;
// The state of a device whose model's input window is not filled with readings yet.
export const WARM_UP = "Warm-up";
// The page explains the term here, and only here.
const PERSISTENCE = "persistence (assuming no change)";

// A power that rounds to zero has no sign.
const fixed = (value, decimals) => value.toFixed(decimals).replace(/^-(0\.0*)$/, "$1");

/** Power in kW: two decimals, one from 10 kW on, three below 0.1 kW. */
export function kw(value) {
  if (value === null || value === undefined) return NOTHING;
  const size = Math.abs(value);
  return fixed(value, size >= 10 ? 1 : size < 0.1 && size > 0 ? 3 : 2);
}

export const kw3 = (value) => (value === null || value === undefined ? NOTHING : fixed(value, 3));
export const count = (n) => n.toLocaleString("en");
export const minutesText = (n) => `${n} minute${n === 1 ? "" : "s"}`;
export const percent = (share) => `${Math.round(100 * share)}${PERCENT}`;

/** Skill against persistence as a short phrase, and its rating: good, bad or even. */
export function skill(value) {
  const whole = Math.round(100 * value);
  if (whole === 0) return ["equal", "even"];
  return whole > 0 ? [`${whole}${PERCENT} better`, "good"] : [`${-whole}${PERCENT} worse`, "bad"];
}

/** How long until `n` outcomes, one a minute, are enough for an assessment: "about 12 h". */
export function assessmentIn(n) {
  const minutes = Math.max(1, MIN_OUTCOMES - n);
  return minutes >= 90 ? `about ${Math.round(minutes / 60)}\u00a0h` : `about ${minutes}\u00a0min`;
}

/** Why a device has no scores, if it never will. */
export const NOT_SCORED = "Not scored: this device exceeds the maximum of tracked devices (learning.max_devices)";

/** The skill of one period as a sentence, and its rating. */
export function skillSentence(scores, period) {
  if (!scores || !scores.sufficient) return [`Forecast accuracy will be shown in ${assessmentIn(scores?.n ?? 0)}`, "wait"];
  if (scores.skill === null) return [`The power was constant: no comparison with ${PERSISTENCE}`, "even"];
  const [phrase, rating] = skill(scores.skill);
  const comparison = rating === "even" ? "As good as" : `${phrase} than`;
  return [`${comparison} ${PERSISTENCE} over ${period === "all_time" ? "all time" : `the ${PERIODS[period].toLowerCase()}`}`, rating];
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const clockWithOffset = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZoneName: "shortOffset" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of a minute, in the time zone of the browser. */
export const time = (at) => clock.format(new Date(at));
export const timeWithOffset = (at) => clockWithOffset.format(new Date(at));
export const second = (at) => exact.format(new Date(at));

/** The same, or as `format` has it, with the date if that is not today, for example in a replay. */
export function moment(at, format = time) {
  const date = day.format(new Date(at));
  return date === day.format(new Date()) ? format(at) : `${format(at)}, ${date}`;
}

/** The moments of `times`; with the UTC offset where two are equal, as in the hour that is repeated when summer time ends. */
export function moments(times) {
  const labels = times.map((at) => moment(at));
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return labels.map((label, i) => (counts.get(label) > 1 ? moment(times[i], timeWithOffset) : label));
}

/** How many minutes the clock of a device's meter is ahead (negative: behind); 0 if it is right, and in a replay. */
export const clockOffset = ({ clock_offset_min: offset, forecast }) => (forecast && isReplay(forecast) ? 0 : (offset ?? 0));

/** A duration in minutes as text: "61 min", "5.5 h". */
export const duration = (minutes) => (minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 6) / 10} h`);

/** Whether the forecast of a device is none of the future any more: no reading has arrived since. */
function isExpired(device) {
  const { forecast } = device;
  if (!forecast || isReplay(forecast)) return false;
  return gatewayNow() + MINUTE_MS * (clockOffset(device) - 1) > Date.parse(forecast.target_at);
}

/** Whether a device sends no readings, so that its newest reading and forecast are of the past. */
export const isSilent = (device) => device.online === false || isExpired(device);

/** The state of a device in a word or two, and its rating. */
export function state(device) {
  if (device.online === false) return ["Offline", "bad"];
  if (!device.forecast) return ["Waiting for second reading", "wait"];
  if (isSilent(device)) return ["No new readings", "wait"];
  const offset = clockOffset(device);
  if (offset) return [`Clock ${duration(Math.abs(offset))} ${offset < 0 ? "behind" : "ahead"}`, "wait"];
  if (device.forecast.n_observed < device.forecast.context) return [WARM_UP, "wait"];
  return [device.online === null ? "Ready" : "Online", "good"];
}
