// Shows, while there is no reading, what the gateway listens to and what it has received so far.

import { Unauthorized, getJson } from "./api.js";
import { byId, write } from "./dom.js";
import { time } from "./format.js";

const EVERY_MS = 3_000;

export class Intake {
  constructor() {
    this._timer = null;
    this._isShown = false;
  }

  /** Refresh the status while `isShown`. */
  show(isShown) {
    if (isShown === this._isShown) return;
    this._isShown = isShown;
    clearTimeout(this._timer);
    if (isShown) this._refresh();
  }

  async _refresh() {
    try {
      showSources(await getJson("sources"));
    } catch (error) {
      if (error instanceof Unauthorized) this._isShown = false; // the event stream requests the token
    }
    if (this._isShown) this._timer = setTimeout(() => this._refresh(), EVERY_MS);
  }
}

function showSources(sources) {
  const at = sources.first_forecast_at;
  const expected = at === null ? "" : `; first forecast at about ${time(at)}`;
  write(byId("empty-head"), sources.waiting.length ? "Waiting for the first minute" : "No readings yet");
  write(byId("listening"), `${sources.summary}${expected}.`);
  write(
    byId("try-note"),
    sources.sources.length
      ? "Forecasts start when two minutes of a meter are complete. To see what your meter sends, on the gateway:"
      : "Forecasts start with the second reading of a device. Publish one reading per minute; to try it by hand, on the gateway:",
  );
  write(byId("try-command"), sources.command);
  byId("try").hidden = !sources.command;
}
