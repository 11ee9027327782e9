// The data of the chart as tables: the minutes of its range, newest first, and the outlook. Drawn only while they are open.

import { byId, make, write } from "./dom.js";
import { MINUTE_MS } from "./minute.js";
import { NOTHING, isSilent, kw3, moments } from "./format.js";

export function showTable({ series, minutes }) {
  if (!byId("table-part").open) return;
  const rows = series.rows(minutes);
  fill(byId("rows"), rows.map(({ minute }) => minute), (i) => cells(rows[i], series.newest));
}

export function showOutlookTable({ series: { outlook }, device }) {
  const isShown = outlook !== null && device !== null && !isSilent(device);
  byId("outlook-part").hidden = !isShown;
  if (!isShown || !byId("outlook-part").open) return;
  const minutes = outlook.document.lead_min.map((lead) => outlook.minute + lead);
  fill(byId("outlook-rows"), minutes, (i) => outlookCells(outlook.at(minutes[i])));
}

/**
 * Show a row for each of `minutes`, with the texts of `cellsOf(i)`. The rows of minutes that are there already stay: who
 * reads them, with a screen reader or to copy them, is not interrupted.
 */
function fill(body, minutes, cellsOf) {
  const labels = moments(minutes.map((minute) => MINUTE_MS * minute));
  const shown = new Set(minutes.map(String));
  for (const row of [...body.rows]) if (!shown.has(row.dataset.minute)) row.remove();
  let next = body.firstElementChild;
  minutes.forEach((minute, i) => {
    const texts = [labels[i], ...cellsOf(i)];
    if (next?.dataset.minute !== String(minute)) {
      body.insertBefore(makeRow(minute, texts), next);
      return;
    }
    texts.forEach((text, j) => write(next.children[j], text));
    next = next.nextElementSibling;
  });
}

function makeRow(minute, [label, ...texts]) {
  const head = make("th", "", label);
  head.scope = "row";
  const row = make("tr", "", head, ...texts.map((text) => make("td", "", text)));
  row.dataset.minute = minute;
  return row;
}

const outlookCells = ({ mean, lower, upper, meanTo, lowerTo, upperTo }) => [
  kw3(mean), `${kw3(lower)} to ${kw3(upper)}`, kw3(meanTo), `${kw3(lowerTo)} to ${kw3(upperTo)}`,
];

function cells({ minute, measured, forecast }, newest) {
  const hasInterval = forecast !== null && forecast.lower_kw !== null;
  const isInside = hasInterval && measured !== null && forecast.lower_kw <= measured && measured <= forecast.upper_kw;
  return [
    measured === null && minute > newest ? "pending" : kw3(measured),
    kw3(forecast?.gap_kw),
    hasInterval ? `${kw3(forecast.lower_kw)} to ${kw3(forecast.upper_kw)}` : NOTHING,
    hasInterval && measured !== null ? (isInside ? "yes" : "no") : NOTHING,
  ];
}
