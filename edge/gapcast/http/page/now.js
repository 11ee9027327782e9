// The first thing that is seen: the house now, in five minutes, and the minutes between.

import { byId, figure, make, write } from "./dom.js";
import { kw, moment, percent, state, time, verdict } from "./words.js";

export function showNow(house) {
  const device = house.device ?? { forecast: null, last_reading: null };
  write(byId("device"), house.chosen ?? "");
  const [word, how] = house.device ? state(device) : ["unknown to this gateway", "bad"];
  write(byId("state"), word);
  byId("state").dataset.is = how;
  const { last_reading: reading, forecast } = device;
  write(byId("when"), reading ? `reading of ${moment(reading.ts)}` : "");
  figure(byId("now-kw"), reading?.gap_kw, kw(reading?.gap_kw));
  figure(byId("ahead-kw"), forecast?.gap_kw, kw(forecast?.gap_kw));
  write(byId("ahead-label"), forecast ? `At ${time(forecast.target_at)}, in ${forecast.horizon_min} minutes` : "In 5 minutes");
  showBounds(forecast);
  showPath(forecast);
  const period = ["last_day", "last_week", "ever"].find((name) => house.scores?.[name]?.enough) ?? "last_day";
  const [sentence, is] = house.scores ? verdict(house.scores[period], period) : ["", "wait"];
  write(byId("verdict"), sentence && `${sentence}.`);
  byId("verdict").dataset.is = is;
  write(byId("covered"), covered(house.scores?.[period]));
}

function covered(scores) {
  if (!scores?.enough || scores.coverage === null) return "";
  return `${percent(scores.coverage)} of what came was within the bounds; 90 % is meant.`;
}

function showBounds(forecast) {
  const bounds = byId("bounds");
  if (!forecast || forecast.lower_kw === null) {
    write(bounds, forecast ? "no bounds" : "");
    return;
  }
  if (bounds.childElementCount !== 2) {
    bounds.replaceChildren("between ", make("data"), " and ", make("data"), " kW, nine times in ten");
  }
  const [lower, upper] = bounds.querySelectorAll("data");
  figure(lower, forecast.lower_kw, kw(forecast.lower_kw));
  figure(upper, forecast.upper_kw, kw(forecast.upper_kw));
}

function showPath(forecast) {
  const path = forecast?.path ?? [];
  byId("path-part").hidden = !path.length;
  const list = byId("path");
  while (list.childElementCount > path.length) list.lastElementChild.remove();
  while (list.childElementCount < path.length) list.append(make("li", "", make("span"), make("data")));
  path.forEach((value, i) => {
    const [minute, power] = list.children[i].children;
    write(minute, time(Date.parse(forecast.observed_at) + 60_000 * (i + 1)));
    figure(power, value, kw(value));
  });
}
