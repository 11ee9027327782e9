// What the chart shows, as a table: the last three hours, newest first, while it is open.

import { byId, make } from "./dom.js";
import { NOTHING, kw3, time } from "./words.js";

const MOST_ROWS = 185;

export function showTable(series) {
  if (!byId("table-part").open) return;
  byId("rows").replaceChildren(...series.rows(MOST_ROWS).map(row));
}

function row({ minute, read, told }) {
  const head = make("th", "", time(60_000 * minute));
  head.scope = "row";
  const hasBounds = told !== null && told.lower_kw !== null;
  const within = hasBounds && read !== null ? (told.lower_kw <= read && read <= told.upper_kw ? "yes" : "no") : NOTHING;
  return make(
    "tr", "", head,
    make("td", "", read === null ? "to come" : kw3(read)),
    make("td", "", told === null ? NOTHING : kw3(told.gap_kw)),
    make("td", "", hasBounds ? `${kw3(told.lower_kw)} to ${kw3(told.upper_kw)}` : NOTHING),
    make("td", "", within),
  );
}
