// The data of the chart as tables: the minutes of its range, newest first, and the outlook. Drawn only while they are open.

import { byId, make } from "./dom.js";
import { MINUTE_MS } from "./minute.js";
import { NOTHING, kw3, moments } from "./format.js";

export function showTable({ series, minutes }) {
  if (!byId("table-part").open) return;
  const rows = series.rows(minutes);
  const labels = moments(rows.map(({ minute }) => MINUTE_MS * minute));
  byId("rows").replaceChildren(...rows.map((row, i) => tableRow(labels[i], row, series.newest)));
}

export function showOutlookTable({ outlook }) {
  byId("outlook-part").hidden = outlook === null;
  if (outlook === null || !byId("outlook-part").open) return;
  const minutes = outlook.document.lead_min.map((lead) => outlook.minute + lead);
  const labels = moments(minutes.map((minute) => MINUTE_MS * minute));
  byId("outlook-rows").replaceChildren(...minutes.map((minute, i) => outlookRow(labels[i], outlook.at(minute))));
}

function outlookRow(label, { mean, lower, upper, meanTo, lowerTo, upperTo }) {
  const head = make("th", "", label);
  head.scope = "row";
  const cells = [kw3(mean), `${kw3(lower)} to ${kw3(upper)}`, kw3(meanTo), `${kw3(lowerTo)} to ${kw3(upperTo)}`];
  return make("tr", "", head, ...cells.map((text) => make("td", "", text)));
}

function tableRow(label, { minute, measured, forecast }, newest) {
  const head = make("th", "", label);
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
