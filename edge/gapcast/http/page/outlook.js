// The newest outlook of one device: values of any minute of the next hour, interpolated between its lead times.

import { minuteOf } from "./minute.js";

export class Outlook {
  constructor(document) {
    this.document = document;
    this.minute = minuteOf(document.observed_at);
  }

  /** The last minute that it has a value for. */
  get end() {
    return this.minute + this.document.lead_min.at(-1);
  }

  /** The mean, the median and the bounds of a single `minute`, and of the mean of all minutes until then; or null. */
  at(minute) {
    const leads = this.document.lead_min;
    const lead = minute - this.minute;
    if (lead < leads[0] || lead > leads.at(-1)) return null;
    const right = leads.findIndex((one) => one >= lead);
    const left = Math.max(0, right - 1);
    const share = right === left ? 1 : (lead - leads[left]) / (leads[right] - leads[left]);
    const value = (name) => {
      const values = this.document[name];
      return values[left] + share * (values[right] - values[left]);
    };
    return {
      mean: value("mean_kw"), lower: value("lower_kw"), median: value("median_kw"), upper: value("upper_kw"),
      meanTo: value("mean_to_kw"), lowerTo: value("mean_to_lower_kw"), upperTo: value("mean_to_upper_kw"),
    };
  }

  /** The mean of the next `minutes`, with its interval: {mean, lower, upper}; null without that lead time. */
  next(minutes) {
    const i = this.document.lead_min.indexOf(minutes);
    if (i < 0) return null;
    const { mean_to_kw: mean, mean_to_lower_kw: lower, mean_to_upper_kw: upper } = this.document;
    return { mean: mean[i], lower: lower[i], upper: upper[i] };
  }
}
