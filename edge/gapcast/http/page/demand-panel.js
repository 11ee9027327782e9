// Shows the demand of the selected device: the running billing window, its headroom, and the month's highest windows.

import { gatewayNow } from "./clock.js";
import { Demand, KW, PowerScale, chance, chanceNumber, headroom, riskNumber, span } from "./demand.js";
import { byId, figure, make, write } from "./dom.js";
import { NOTHING, clockOffset, kw, moment, time } from "./format.js";

// While the computer sleeps a timer stands still, and what it was to hide has expired when the lid opens.
const MAX_DELAY_MS = 5_000;

const NO_HEADROOM = {
  late: "No current headroom: the newest reading is too old. Until the next one, treat the headroom as 0 kW.",
  behind: "No current headroom: the meter’s clock is behind. Until it is right, treat the headroom as 0 kW.",
};

export class DemandPanel {
  constructor() {
    this._demand = null;
    this._expiry = null;
    document.addEventListener("visibilitychange", () => this._demand && this._show());
  }

  /** Show the demand of `store`; nothing without one. */
  draw(store) {
    const { demand: document } = store;
    const { month_peaks: peaks = [], timezone, limit_warning: warning = null } = store.restDemand ?? {};
    byId("demand").hidden = document === null;
    clearTimeout(this._expiry);
    this._demand = document && new Demand(document);
    byId("limit-warning").hidden = warning === null;
    write(byId("limit-warning"), warning ?? "");
    write(byId("demand-problem"), NO_HEADROOM[store.device && clockOffset(store.device) < 0 ? "behind" : "late"]);
    if (document) this._show();
    showPeaks(peaks, timezone);
  }

  _show() {
    clearTimeout(this._expiry);
    const demand = this._demand;
    const now = gatewayNow();
    const [phase, until] = demand.phaseAt(now);
    if (until !== null) this._expiry = setTimeout(() => this._show(), Math.min(until - now, MAX_DELAY_MS));
    const { document } = demand;
    write(byId("demand-head"), `Billing window ${span(document)}`);
    write(byId("demand-valid"), `${phase === "current" ? "Valid until" : "Was valid until"} ${moment(document.valid_until)}`);
    byId("demand-problem").hidden = phase !== "expired";
    byId("demand-now").hidden = phase === "expired";
    if (phase === "expired") return;
    showHeadroom(demand, phase === "current");
    showChance(demand);
    showBar(demand);
    showFacts(demand);
  }
}

function showHeadroom(demand, isCurrent) {
  const { window_end: windowEnd, risk, fuse_kw: fuse } = demand.document;
  const [watts, end] = demand.addable;
  const [size, isOver] = headroom(watts);
  const isShown = isCurrent && demand.isBounded && !demand.isExceeded;
  byId("headroom-figure").hidden = !isShown;
  figure(byId("headroom"), isShown ? watts : null, isShown ? size : NOTHING);
  byId("headroom-part").dataset.is = isCurrent && (demand.isExceeded || (isShown && isOver)) ? "bad" : "good";
  let text = `may be added until ${time(end)}`;
  if (size === "0") text = `Nothing ${text}`;
  if (isOver) text = `must be switched off until ${time(end)}`;
  if (demand.isExceeded) text = `The limit is exceeded: with nothing more drawn until ${time(windowEnd)}, the mean is ${kw(demand.drawnKw)}${KW}`;
  if (!demand.isBounded) text = `No limit until ${time(windowEnd)}`;
  if (!isCurrent) text = "The window is over; the next reading begins a new one";
  write(byId("headroom-text"), text);
  const bound = demand.hasLimit ? (fuse === null ? "the limit" : "the limit or the fuse") : "the fuse";
  write(byId("headroom-risk"), isShown ? `to keep the risk of exceeding ${bound} at ${riskNumber(risk)}` : "");
}

function showChance(demand) {
  const [sentence, number] = demand.chanceText;
  write(byId("chance"), sentence);
  byId("chance").dataset.is = demand.rating;
  write(byId("chance-number"), number && `(${number})`);
}

function showBar(demand) {
  const { document, drawnKw } = demand;
  const { lower_kw: lower, upper_kw: upper, expected_kw: expected, limit_kw: limit, elapsed_min: elapsed } = document;
  const scale = new PowerScale([drawnKw, lower, upper, expected, limit]);
  stretch("bar-drawn", scale, Math.min(0, drawnKw), Math.max(0, drawnKw));
  stretch("bar-band", scale, lower, upper);
  byId("bar-end").style.insetInlineStart = `${scale.at(expected)}%`;
  byId("bar-zero").hidden = scale.low === 0;
  byId("bar-zero").style.insetInlineStart = `${scale.at(0)}%`;
  byId("bar-limit").hidden = byId("bar-limit-label").hidden = limit === null;
  if (limit !== null) {
    byId("bar-limit").style.insetInlineStart = `${scale.at(limit)}%`;
    byId("bar-limit-label").style.setProperty("--at", `${scale.at(limit)}%`);
    write(byId("bar-limit-label"), `limit ${kw(limit)}`);
  }
  byId("bar-end-label").style.setProperty("--at", `${scale.at(expected)}%`);
  write(byId("bar-end-label"), `expected ${kw(expected)}`);
  const against = limit === null ? "no limit" : `limit ${kw(limit)} kW`;
  byId("bar").setAttribute(
    "aria-label",
    `Mean of the window: ${kw(drawnKw)} kW from energy used so far, ${kw(expected)} kW expected, 90 % interval ${kw(lower)} to ${kw(upper)} kW, ${against}`,
  );
  byId("elapsed").max = demand.minutes;
  byId("elapsed").value = elapsed;
  write(byId("elapsed-text"), `${elapsed} of ${demand.minutes} minutes`);
}

function stretch(id, scale, from, to) {
  const { style } = byId(id);
  style.insetInlineStart = `${scale.at(from)}%`;
  style.inlineSize = `${scale.at(to) - scale.at(from)}%`;
}

function showFacts(demand) {
  const { document } = demand;
  const { lower_kw: lower, median_kw: median, upper_kw: upper, next, fuse_kw: fuse, p_fuse: pFuse } = document;
  const facts = [
    ["Mean so far", demand.soFarText],
    ["Expected mean", `${kw(document.expected_kw)}${KW} (median ${kw(median)}; 90 % interval ${kw(lower)} to ${kw(upper)})`],
    ["Limit", demand.limitText],
  ];
  if (fuse !== null) facts.push(["Fuse", `${kw(fuse)}${KW}; ${chance(pFuse)} that a minute is above (${chanceNumber(pFuse)})`]);
  facts.push(["Next window", `${span(next)}: ${demand.nextText}`]);
  const list = byId("demand-facts");
  while (list.childElementCount > 2 * facts.length) list.lastElementChild.remove();
  while (list.childElementCount < 2 * facts.length) list.append(make("dt"), make("dd"));
  facts.forEach(([name, text], i) => {
    write(list.children[2 * i], name);
    write(list.children[2 * i + 1], text);
  });
}

/** Show the month's highest windows: {start, kw}, highest first, with times in the gateway's time zone, whose month it is. */
function showPeaks(peaks, timezone) {
  byId("peaks-part").hidden = !peaks.length;
  const [zoned, local] = [zonedFormat(timezone), zonedFormat(undefined)];
  const isElsewhere = peaks.some(({ start }) => zoned(start) !== local(start));
  write(byId("peaks-head"), `Highest windows of this month${isElsewhere ? ` (times of ${timezone})` : ""}`);
  byId("peaks").replaceChildren(
    ...peaks.map(({ start, kw: peak }) => {
      const value = make("data");
      figure(value, peak, `${kw(peak)}${KW}`);
      return make("li", "", make("span", "", zoned(start)), value);
    }),
  );
}

const DAY = { weekday: "short", day: "numeric", month: "short" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const formats = new Map(); // they take long to make

/** Return a function that formats times in `timeZone`, or the browser's (undefined; or the browser does not know the zone). */
function zonedFormat(timeZone) {
  if (!formats.has(timeZone)) {
    try {
      const [day, clock] = [DAY, CLOCK].map((parts) => new Intl.DateTimeFormat("en-GB", { ...parts, timeZone }));
      formats.set(timeZone, (at) => `${day.format(new Date(at))}, ${clock.format(new Date(at))}`);
    } catch {
      formats.set(timeZone, zonedFormat(undefined));
    }
  }
  return formats.get(timeZone);
}
