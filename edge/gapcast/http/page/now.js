// Shows the selected device: its newest reading, its forecast, and the minutes in between.

import { byId, figure, make, write } from "./dom.js";
import { NOT_SCORED, WARM_UP, clockOffset, isSilent, kw, minutesText, moment, percent, skillSentence, state, time } from "./format.js";
import { MINUTE_MS, minutesKw } from "./minute.js";

// Lead times of the outlook whose means are shown.
const MEANS_MIN = [15, 30, 60];
// Of a longer path every second, third … minute is shown, so that an hour does not fill the screen.
const MAX_PATH_TILES = 10;

export function showNow(store) {
  const device = store.device ?? { forecast: null, last_reading: null };
  const { last_reading: reading, forecast } = device;
  const silent = isSilent(device);
  write(byId("device"), store.selected ?? "");
  showState(store.device);
  const filled = device.last_reading_filled ? " (filled: the meter sends nothing, its last value is held)" : "";
  const byClock = clockOffset(device) ? " by the meter’s clock" : "";
  write(byId("when"), reading ? `Last reading ${moment(reading.ts)}${byClock}${filled}` : "");
  const lastLabel = device.last_reading_filled ? "Last value (held)" : "Last measured";
  write(byId("now-label"), silent ? lastLabel : "Now");
  figure(byId("now-kw"), reading?.gap_kw, kw(reading?.gap_kw));
  figure(byId("ahead-kw"), forecast?.gap_kw, kw(forecast?.gap_kw));
  showHorizon(forecast, store.series.outlook, silent);
  showInterval(forecast);
  showPlanned(forecast);
  showPath(forecast);
  showMeans(store.series.outlook);
  byId("path-part").hidden = silent || (!minutesKw(forecast).length && !store.series.outlook);
  showSubmeters(device.submeters ?? []);
  const period = ["last_day", "last_week", "all_time"].find((name) => store.scores?.[name]?.sufficient) ?? "all_time"; // which is the first to have sufficient outcomes
  const isScored = device.tracked !== false;
  const [sentence, rating] = !isScored ? [NOT_SCORED, "even"] : store.scores ? skillSentence(store.scores[period], period) : ["", "wait"];
  write(byId("skill"), sentence && `${sentence}.`);
  byId("skill").dataset.is = rating;
  write(byId("coverage"), coverage(store.scores?.[period]));
}

function showState(device) {
  const [word, rating] = device ? state(device) : ["Unknown device", "bad"];
  const isWarmingUp = word === WARM_UP;
  write(byId("state"), isWarmingUp ? `${word}: ${device.forecast.n_observed} of ${device.forecast.context} minutes` : word);
  byId("state").dataset.is = rating;
}

function coverage(scores) {
  if (!scores?.sufficient || scores.coverage === null) return "";
  return `${percent(scores.coverage)} of the measured values were inside the 90 % interval.`;
}

/** Without a forecast the horizon is not known. */
function showHorizon(forecast, outlook, silent) {
  const horizon = forecast?.horizon_min;
  const last = outlook ? outlook.document.lead_min.at(-1) : horizon;
  let label = "Forecast";
  if (forecast) {
    label = silent
      ? `Forecast for ${moment(forecast.target_at)}`
      : `In ${minutesText(horizon)} (${time(forecast.target_at)})`;
  }
  write(byId("ahead-label"), label);
  write(byId("path-label"), forecast ? `Next ${minutesText(horizon)}, kW` : "");
  write(byId("key-forecast"), forecast ? `forecast ${horizon} min earlier` : "earlier forecast");
  write(byId("earlier-head"), forecast ? `Forecast ${horizon} min earlier, kW` : "Earlier forecast, kW");
  write(byId("key-path"), last ? `next ${minutesText(last)}` : "next minutes");
}

function showInterval(forecast) {
  const element = byId("interval");
  if (!forecast || forecast.lower_kw === null) {
    write(element, forecast ? "No interval" : "");
    return;
  }
  if (!element.querySelector("data")) {
    element.replaceChildren("90 % interval: ", make("span", "unbroken", make("data"), " to ", make("data"), " kW"));
  }
  const [lower, upper] = element.querySelectorAll("data");
  figure(lower, forecast.lower_kw, kw(forecast.lower_kw));
  figure(upper, forecast.upper_kw, kw(forecast.upper_kw));
}

function showSubmeters(submeters) {
  const shown = submeters.map(({ name, last_minute: last, age_min: age }) => {
    if (!last) return `${name} unknown`;
    return `${name} ${kw(last.gap_kw)} kW${age ? ` (${age} min before)` : ""}`;
  });
  byId("submeters").hidden = !shown.length;
  write(byId("submeters"), `Submeters: ${shown.join(", ")}`);
}

function showPlanned(forecast) {
  const planned = forecast?.planned_kw;
  byId("planned").hidden = planned === undefined || planned === null;
  write(byId("planned"), `Forecast includes planned loads: ${kw(planned)} kW`);
}

function showPath(forecast) {
  const path = minutesKw(forecast);
  byId("path-label").hidden = !path.length;
  const step = Math.ceil(path.length / MAX_PATH_TILES);
  const tiles = path.map((value, i) => [time(Date.parse(forecast.observed_at) + MINUTE_MS * (i + 1)), value]);
  showTiles(byId("path"), tiles.filter((_, i) => (path.length - 1 - i) % step === 0));
}

function showMeans(outlook) {
  const means = outlook ? MEANS_MIN.map((n) => [n, outlook.next(n)]).filter(([, mean]) => mean) : [];
  byId("means-label").hidden = !means.length;
  showTiles(byId("means"), means.map(([n, { mean }]) => [`${n} min`, mean]));
}

/** Show [label, kW] pairs as the items of `list`. */
function showTiles(list, tiles) {
  while (list.childElementCount > tiles.length) list.lastElementChild.remove();
  while (list.childElementCount < tiles.length) list.append(make("li", "", make("span"), make("data")));
  tiles.forEach(([label, value], i) => {
    const [head, power] = list.children[i].children;
    write(head, label);
    figure(power, value, kw(value));
  });
}
