// The demand of one device: its running billing window against the limit, in the words and numbers of the panel.

import { MINUTE_MS, isReplay, minuteOf } from "./minute.js";
import { PERCENT, kw, percent, time, timeWithOffset } from "./format.js";

export const KW = "\u00a0kW"; // not broken from its number at the end of a line
// Headroom is shown in steps of 0.1 kW, rounded down: never more than may be added, never less than must go off.
const STEP_W = 100;
// The last minutes of a window, in which what may be added is more than a load may draw that lasts longer.
const LAST_MIN = 2;
// Words for a probability, each up to and without this one: the scale of the IPCC, with simpler words for its middle.
const EVEN = "about even";
const CHANCES = [[0.1, "very unlikely"], [0.33, "unlikely"], [0.66, EVEN], [0.9, "likely"], [Infinity, "very likely"]];
const SOURCES = { fixed: "configured", set: "set while running", month_peak: "the month’s peak" };

/** A probability in words, to be followed by what may happen: "unlikely". */
export function chance(p) {
  const [, words] = CHANCES.find(([below]) => p < below);
  return words === EVEN ? `${words} chance` : words;
}

/** A probability as a number: "12 %"; its ends never read as impossible or certain. */
export function chanceNumber(p) {
  if (p < 0.01) return `under ${percent(0.01)}`;
  return p > 0.99 ? `over ${percent(0.99)}` : percent(p);
}

/** The accepted risk as a number: "5 %", "0.4 %". */
export const riskNumber = (risk) => `${Number((100 * risk).toPrecision(2))}${PERCENT}`;

/** A probability as a number, and that it is above the risk, if it is: "9 %, more than the accepted 5 %". */
function comparedNumber(p, risk) {
  const [number, accepted] = [chanceNumber(p), riskNumber(risk)];
  if (p <= risk) return number;
  return number === accepted ? `slightly more than the accepted ${accepted}` : `${number}, more than the accepted ${accepted}`;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

/** The span of a window: "18:00 to 18:15"; with offsets from UTC if the clock changes at its end. */
export function span({ window_start: start, window_end: end }) {
  const [before, after] = [start, end].map((at) => new Date(at).getTimezoneOffset());
  return [start, end].map(before === after ? time : timeWithOffset).join(" to ");
}

/** What may be added, or must go off, in kW: [text with one decimal, or "0"; whether it must go off]. */
export function headroom(watts) {
  const steps = Math.floor(watts / STEP_W);
  return [steps ? ((Math.abs(steps) * STEP_W) / 1_000).toFixed(1) : "0", steps < 0];
}

export class Demand {
  constructor(document) {
    this.document = document;
    this.minutes = minuteOf(document.window_end) - minuteOf(document.window_start);
  }

  get hasLimit() {
    return this.document.limit_kw !== null;
  }

  /** Whether anything bounds the headroom: the window's limit, or the fuse. */
  get isBounded() {
    return this.hasLimit || this.document.fuse_kw !== null;
  }

  /** The measured energy so far, divided by the length of the window: its mean if the power were 0 otherwise, kW. */
  get drawnKw() {
    const { so_far_kw: soFar, elapsed_min: elapsed, unmeasured_min: unmeasured } = this.document;
    return soFar === null ? 0 : (soFar * (elapsed - unmeasured)) / this.minutes;
  }

  /** The mean of the minutes whose power is known, and how many minutes were not measured, if there are any. */
  get soFarText() {
    const { so_far_kw: soFar, elapsed_min: elapsed, unmeasured_min: unmeasured } = this.document;
    if (soFar === null) return "begins with the next reading";
    return `${kw(soFar)}${KW}${unmeasured ? `; ${unmeasured} of ${elapsed} minutes were not measured` : ""}`;
  }

  /**
   * The power that may be added or must go off, watts, and until when. A load lasts longer than a window's last minutes:
   * in these, no more may be added than in the next window.
   */
  get addable() {
    const { headroom_w: watts, elapsed_min: elapsed, window_end: end, next } = this.document;
    const inBoth = Math.min(watts, Math.max(next.headroom_w, 0));
    return inBoth < watts && this.minutes - elapsed <= LAST_MIN ? [inBoth, next.window_end] : [watts, end];
  }

  /** Whether the window is above its limit even if nothing more is drawn. */
  get isExceeded() {
    return this.hasLimit && this.drawnKw > this.document.limit_kw;
  }

  /** When the values expire, milliseconds. In a replay, whose minutes are long over, as long after they were issued. */
  get expiresMs() {
    const [observed, issued, valid] = ["observed_at", "issued_at", "valid_until"].map((name) => Date.parse(this.document[name]));
    return isReplay(this.document) ? issued + valid - observed : valid;
  }

  /**
   * What the values are at `nowMs`, and when that changes (null: never): "current"; "over" for a minute after the end of
   * the window, in which the reading of its last minute is due; then "expired".
   */
  phaseAt(nowMs) {
    const end = this.expiresMs;
    const isWindowOver = this.document.valid_until === this.document.window_end;
    const overUntil = isWindowOver ? end + MINUTE_MS : end;
    if (nowMs < end) return ["current", end];
    return nowMs < overUntil ? ["over", overUntil] : ["expired", null];
  }

  /** The limit in words: "2.50 kW, the month’s peak". */
  get limitText() {
    const { limit_kw: limit, limit_source: source, month_peak_kw: peak } = this.document;
    if (!this.hasLimit) return "none for this window";
    const isFloor = source === "month_peak" && (peak === null || peak < limit);
    return `${kw(limit)}${KW}, ${isFloor ? "minimum billed demand" : (SOURCES[source] ?? source)}`;
  }

  /**
   * Whether the probability for the fuse is shown: there is no limit, or that probability is above the risk and above the
   * one for the limit.
   */
  get isFuseCritical() {
    const { p_exceed: p, fuse_kw: fuse, p_fuse: pFuse, risk } = this.document;
    return fuse !== null && !this.isExceeded && (!this.hasLimit || pFuse > Math.max(p, risk));
  }

  /**
   * The probability of exceeding the limit or, if that is what to watch, the fuse, as a sentence and its number:
   * ["Unlikely to exceed 2.50 kW", "12 %, more than the accepted 5 %"].
   */
  get chanceText() {
    const { limit_kw: limit, p_exceed: p, fuse_kw: fuse, p_fuse: pFuse, risk } = this.document;
    if (this.isExceeded) return [`Above ${kw(limit)}${KW} already`, ""];
    if (this.isFuseCritical) return [sentence(`${chance(pFuse)} that a minute is above ${kw(fuse)}${KW}`), comparedNumber(pFuse, risk)];
    if (!this.hasLimit) return ["No limit applies to this window", ""];
    return [sentence(`${chance(p)} to exceed ${kw(limit)}${KW}`), comparedNumber(p, risk)];
  }

  /** How the chance is to be seen: good, wait or bad. */
  get rating() {
    if (this.isExceeded) return "bad";
    const { p_exceed: pLimit, p_fuse: pFuse, risk } = this.document;
    const p = this.isFuseCritical ? pFuse : pLimit;
    if (p === null || p <= risk) return "good";
    return p >= 0.5 ? "bad" : "wait";
  }

  /** The next window in a sentence. */
  get nextText() {
    const next = this.document.next;
    const expected = `${kw(next.expected_kw)}${KW} expected (${kw(next.lower_kw)} to ${kw(next.upper_kw)})`;
    if (next.limit_kw === null) return `${expected}; no limit`;
    const [size, isOver] = headroom(next.headroom_w);
    const risk = `${chance(next.p_exceed)} to exceed ${kw(next.limit_kw)}${KW} (${comparedNumber(next.p_exceed, this.document.risk)})`;
    return `${expected}; ${risk}; headroom ${isOver ? "-" : ""}${size}${KW}`;
  }
}

/** A scale of power from left to right, as shares of its width. */
export class PowerScale {
  /** Holds zero and all `values`, kW (null: none), with some room above. */
  constructor(values) {
    const known = values.filter((value) => value !== null);
    this.low = Math.min(0, ...known);
    this.high = Math.max(0.1, ...known) * 1.06;
  }

  /** The position of `value` in percent. */
  at(value) {
    return (100 * (value - this.low)) / (this.high - this.low);
  }
}
