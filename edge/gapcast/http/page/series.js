// The measured values of one device by minute, the forecasts by the minute they are for, and the newest outlook.

import { isAfterGap, minuteOf, minutesKw } from "./minute.js";
import { Outlook } from "./outlook.js";

// More than the longest range of the chart.
const MAX_MINUTES = 1_600;
// The chart shows at least this many minutes.
const MIN_SPAN_MINUTES = 10;

export class Series {
  constructor() {
    this.clear();
  }

  clear() {
    this.measured = new Map();
    this.forecasts = new Map();
    this.newest = null;
    this.outlook = null;
    this.setNewestForecast(null);
  }

  /** Add the history that the gateway stores. Values that are already here are at least as new and stay. */
  addHistory(history) {
    for (const { ts, gap_kw } of history.readings) {
      const minute = minuteOf(ts);
      if (!this.measured.has(minute)) this.measured.set(minute, gap_kw);
      this.newest = Math.max(this.newest ?? minute, minute);
    }
    for (const forecast of history.forecasts) {
      const minute = minuteOf(forecast.target_at);
      if (!this.forecasts.has(minute)) this.forecasts.set(minute, forecast);
    }
  }

  /** Forget a run of minutes that ends after `reading`, the device's newest (null: none): the stream has restarted in the past. */
  clearIfAfter(reading) {
    if (reading && minuteOf(reading.ts) < this.newest) this.clear();
  }

  /** Extend the minutes to `ts`, the newest reading's: the history does not have it if it is filled. */
  extendTo(ts) {
    this.newest = Math.max(this.newest ?? 0, minuteOf(ts));
  }

  /**
   * Add a reading; return whether the stream continues: before the newest minute it restarts, with readings of the
   * gateway's history that had no events. A filled minute was not measured: no value is stored for it, as in the history.
   */
  addReading(ts, gapKw, isFilled = false) {
    const minute = minuteOf(ts);
    if (isAfterGap(minute, this.newest)) {
      this.outlook = null;
      this.setNewestForecast(null);
    }
    // The stream restarts in the past, for example in a replay: do not mix the two runs.
    const isRestart = this.newest !== null && minute < this.newest;
    if (isRestart) this.clear();
    if (!isFilled) this.measured.set(minute, gapKw);
    this.newest = minute;
    for (const known of [this.measured, this.forecasts]) {
      while (known.size > MAX_MINUTES) known.delete(Math.min(...known.keys()));
    }
    return !isRestart;
  }

  addForecast(forecast) {
    this.forecasts.set(minuteOf(forecast.target_at), forecast);
    this.setNewestForecast(forecast);
  }

  /** Take the newest forecast; null: there is none. Its path is from the minute after the one it was made in. */
  setNewestForecast(forecast) {
    this.forecast = forecast;
    this.path = minutesKw(forecast);
    [this.pathMinute, this.target] = forecast ? [minuteOf(forecast.observed_at), minuteOf(forecast.target_at)] : [null, null];
  }

  /** Take an outlook; null: there is none. */
  setOutlook(document) {
    this.outlook = document ? new Outlook(document) : null;
  }

  /** The last minute with a forecast, or that of the newest reading. */
  get end() {
    return this.newest === null ? null : Math.max(this.newest, ...this.pending().map(([minute]) => minute));
  }

  /** Forecasts for minutes that are not measured yet, as [minute, forecast]. */
  pending() {
    return [...this.forecasts].filter(([minute]) => minute > this.newest).sort((a, b) => a[0] - b[0]);
  }

  /** The minutes of the last `nMinutes` since the first value, at least a few, so that a short history fills the chart. */
  span(nMinutes) {
    return Math.min(nMinutes, Math.max(MIN_SPAN_MINUTES, this.age()));
  }

  /** The minutes from the first value to the newest, both included. */
  age() {
    return this.newest - Math.min(...this.measured.keys(), ...this.forecasts.keys()) + 1;
  }

  /**
   * Columns for the chart, one row a minute from `nMinutes` ago, or from the first value if that is later, to the last
   * minute of the outlook, or of the forecasts without one: seconds, then kW (or null) of the measured value, the
   * interval's lower and upper bound, the forecast for minutes that are measured, and for minutes that are not: the path
   * of the newest forecast (without one, its value at its target), continued by the outlook's means, and the outlook's
   * medians.
   */
  columns(nMinutes) {
    const columns = Array.from({ length: 7 }, () => []);
    if (this.newest === null) return columns;
    const [first, last] = [this.newest - this.span(nMinutes) + 1, Math.max(this.end, this.outlook?.end ?? 0)];
    const hasPath = this.forecast !== null || this.outlook !== null;
    for (let minute = first; minute <= last; minute++) {
      const forecast = this.forecasts.get(minute);
      const ahead = minute - this.newest;
      const outlook = ahead > 0 ? this.outlook?.at(minute) : null;
      const published = this.path[minute - this.pathMinute - 1] ?? outlook?.mean ?? (minute === this.target ? this.forecast.gap_kw : null);
      const path = ahead === 0 && hasPath ? this.measured.get(minute) : ahead > 0 ? published : null;
      [
        minute * 60, this.measured.get(minute), outlook?.lower ?? forecast?.lower_kw, outlook?.upper ?? forecast?.upper_kw,
        ahead > 0 ? null : forecast?.gap_kw, path, outlook?.median,
      ].forEach((value, i) => columns[i].push(value ?? null));
    }
    return columns;
  }

  /** The minutes of the last `nMinutes`, and those after, with a measured value or a forecast, newest first: {minute, measured, forecast}. */
  rows(nMinutes) {
    if (this.newest === null) return [];
    const rows = [];
    for (let minute = this.end; minute > this.newest - nMinutes; minute--) {
      const [measured, forecast] = [this.measured.get(minute) ?? null, this.forecasts.get(minute) ?? null];
      if (measured !== null || forecast !== null) rows.push({ minute, measured, forecast });
    }
    return rows;
  }
}
