// The data of the chart as a table: the last three hours, newest first. Drawn only while it is open.

import { byId, make } from "./dom.js";
import { NOTHING, kw3, time } from "./format.js";

const MAX_ROWS = 185;

export function showTable(series) {
  if (!byId("table-part").open) return;
  byId("rows").replaceChildren(...series.rows(MAX_ROWS).map((row) => tableRow(row, series.newest)));
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
