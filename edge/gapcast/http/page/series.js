// One device's minutes: what was read, and what was foreseen for them, at the minute that it speaks of.

const MINUTE_MS = 60_000;
// Beyond the longest range that can be looked at.
const MOST = 1_600;

export const minuteOf = (label) => Math.round(Date.parse(label) / MINUTE_MS);

export class Series {
  constructor() {
    this.clear();
  }

  clear() {
    this.read = new Map();
    this.told = new Map();
    this.newest = null;
    this.path = [];
  }

  /** Take what the gateway still has. What is known here is at least as new. */
  addHistory(history) {
    for (const { ts, gap_kw } of history.readings) {
      const minute = minuteOf(ts);
      if (!this.read.has(minute)) this.read.set(minute, gap_kw);
      this.newest = Math.max(this.newest ?? minute, minute);
    }
    for (const forecast of history.forecasts) {
      const minute = minuteOf(forecast.target_at);
      if (!this.told.has(minute)) this.told.set(minute, forecast);
    }
  }

  addReading(ts, gapKw) {
    const minute = minuteOf(ts);
    if (this.newest !== null && minute <= this.newest) {
      // A stream that starts again in the past, as a replay does; two runs are not mixed.
      if (minute < this.newest) this.clear();
    }
    this.read.set(minute, gapKw);
    this.newest = minute;
    for (const known of [this.read, this.told]) {
      while (known.size > MOST) known.delete(Math.min(...known.keys()));
    }
  }

  addForecast(forecast) {
    this.told.set(minuteOf(forecast.target_at), forecast);
    this.path = forecast.path ?? [];
  }

  /** The last minute that anything is foreseen for, or the newest reading's. */
  get end() {
    return this.newest === null ? null : Math.max(this.newest, ...this.ahead().map(([minute]) => minute));
  }

  /** What is foreseen for minutes that have not come, as [minute, forecast]. */
  ahead() {
    return [...this.told].filter(([minute]) => minute > this.newest).sort((a, b) => a[0] - b[0]);
  }

  /**
   * Columns for the chart, a row a minute from `nMinutes` ago to the last that is foreseen: seconds, then kW (null:
   * none) of what was read, lower and upper bound, what was foreseen for minutes that have come, and the path of the
   * newest forecast for those to come.
   */
  columns(nMinutes) {
    if (this.newest === null) return [[], [], [], [], [], []];
    const [first, last] = [this.newest - nMinutes + 1, this.end];
    const columns = Array.from({ length: 6 }, () => []);
    for (let minute = first; minute <= last; minute++) {
      const told = this.told.get(minute);
      const ahead = minute - this.newest;
      const path = ahead === 0 && this.path.length ? this.read.get(minute) : this.path[ahead - 1];
      [
        minute * 60, this.read.get(minute), told?.lower_kw, told?.upper_kw, ahead > 0 ? null : told?.gap_kw, path,
      ].forEach((value, i) => columns[i].push(value ?? null));
    }
    return columns;
  }

  /** The last `n` minutes of which anything is known, newest first: {minute, read, told}. */
  rows(n) {
    if (this.newest === null) return [];
    const rows = [];
    for (let minute = this.end; rows.length < n && minute > this.newest - MOST; minute--) {
      const [read, told] = [this.read.get(minute) ?? null, this.told.get(minute) ?? null];
      if (read !== null || told !== null) rows.push({ minute, read, told });
    }
    return rows;
  }
}
