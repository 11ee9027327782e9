// The data of the chart as tables: the minutes of its range, newest first, and the outlook. Drawn only while they are open.

import { byId, make } from "./dom.js";
import { NOTHING, kw3, time } from "./format.js";

export function showTable({ series, minutes }) {
  if (!byId("table-part").open) return;
  byId("rows").replaceChildren(...series.rows(minutes).map((row) => tableRow(row, series.newest)));
}

export function showOutlookTable({ outlook }) {
  byId("outlook-part").hidden = outlook === null;
  if (outlook === null || !byId("outlook-part").open) return;
  byId("outlook-rows").replaceChildren(...outlook.document.lead_min.map((lead) => outlookRow(outlook, outlook.minute + lead)));
}

function outlookRow(outlook, minute) {
  const { mean, lower, upper, meanTo, lowerTo, upperTo } = outlook.at(minute);
  const head = make("th", "", time(60_000 * minute));
  head.scope = "row";
  const cells = [kw3(mean), `${kw3(lower)} to ${kw3(upper)}`, kw3(meanTo), `${kw3(lowerTo)} to ${kw3(upperTo)}`];
  return make("tr", "", head, ...cells.map((text) => make("td", "", text)));
}

function tableRow({ minute, measured, forecast }, newest) {
  const head = make("th", "", time(60_000 * minute));
  head.scope = "row";
  const hasInterval = forecast !== null && forecast.lower_kw !== null;
  const isInside = hasInterval && measured !== null && forecast.lower_kw <= measured && measured <= forecast.upper_kw;
  return make(
    "tr", "", head,
    make("td", "", measured === null && minute > newest ? "pending" : kw3(measured)),
    make("td", "", kw3(forecast?.gap_kw)),
    make("td", "", hasInterval ? `${kw3(forecast.lower_kw)} to ${kw3(forecast.upper_kw)}` : NOTHING),
    make("td", "", hasInterval && measured !== null ? (isInside ? "yes" : "no") : NOTHING),
  );
}
