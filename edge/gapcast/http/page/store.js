// The state of the gateway and its devices: loaded once, then updated by events.

import { Problem, getJson } from "./api.js";
import { isAfterGap, isClockRight, minuteOf } from "./minute.js";
import { Series } from "./series.js";

const PAGE_SIZE = 500;
// Devices in the list. In a larger fleet, the others are shown by URL: #device=NAME.
export const MAX_DEVICES = 5_000;
// The scores of the selected device change every minute; they are requested at most this often.
const DETAIL_MS = 5_000;
const RELOAD_MS = 5_000;

const deviceRoute = (name) => `devices/${encodeURIComponent(name)}`;
// A response may be older than an event that arrived during the request. Events are in order, whatever the gateway's
// clock says: it may have been set back.
const isOlder = (answer, shown) => Boolean(answer && shown && shown.issued_at > answer.issued_at);

// A forecast from before a gap is none of the minutes to come.
function dropOutdated(device) {
  const { forecast, last_reading: reading } = device;
  if (forecast && reading && isAfterGap(minuteOf(reading.ts), minuteOf(forecast.observed_at))) device.forecast = null;
  return device;
}

export class Store {
  /**
   * `changed(what)` is called with "devices", "selected" or "health"; `failed(error)` if what an event requires fails;
   * `requested()` returns the device to begin with, or null; `removed(name)` is called if the selected device was
   * deleted and another one (null: none) is selected instead.
   */
  constructor(changed, failed = () => {}, requested = () => null, removed = () => {}) {
    this.changed = changed;
    this.failed = failed;
    this.requested = requested;
    this.removed = removed;
    this.devices = new Map();
    this.nDevices = 0;
    /** Incremented when a device is added or removed. */
    this.listVersion = 0;
    this.health = null;
    this.selected = null;
    this.scores = null;
    /** The demand of the selected device, and the newest one from REST, with the month's highest windows; null without. */
    this.demand = null;
    this.restDemand = null;
    this.series = new Series();
    this.minutes = 180;
    this.hasHistory = true;
    this._hasReported = null;
    this.isLoaded = false;
    this._round = 0;
    this._detailAt = 0;
    this._detailDue = null;
    this._reloadAt = 0;
    this._reloadDue = null;
  }

  /** Load everything, beginning with what is visible first. */
  async load() {
    const round = ++this._round;
    const page = await getJson("devices?limit=50");
    if (round !== this._round) return;
    const [before, known] = [[...this.devices.keys()], new Set()];
    this._mergePage(page, known);
    this.isLoaded = true;
    if (this.selected === null) await this.select(this.requested() ?? this.first());
    else await this._loadSelected(true);
    let next = page.next;
    while (next !== null && known.size < MAX_DEVICES) {
      const more = await getJson(`devices?limit=${PAGE_SIZE}&after=${encodeURIComponent(next)}`);
      if (round !== this._round) return;
      this._mergePage(more, known);
      next = more.next;
    }
    if (next === null) {
      const removed = before.filter((key) => !known.has(key) && this._remove(key));
      this.changed("devices");
      if (removed.includes(this.selected)) await this._selectOther();
    }
  }

  /** Load again soon, because events may have been missed. */
  reload() {
    if (this._reloadDue) return;
    const wait = Math.max(0, this._reloadAt + RELOAD_MS - Date.now());
    this._reloadDue = setTimeout(() => {
      this._reloadDue = null;
      this._reloadAt = Date.now();
      this.load().catch(this.failed);
    }, wait);
  }

  async select(name) {
    if (name !== this.selected) {
      this.selected = name;
      this.scores = null;
      this._setDemand(null);
      this.series.clear();
      [this.hasHistory, this._hasReported] = [true, null];
    }
    this.changed("selected");
    if (name !== null) await this._loadSelected(true);
  }

  /** Select another device than the selected one, which was deleted. */
  _selectOther() {
    const [name, loaded] = [this.selected, this.select(this.first())];
    this.removed(name);
    return loaded;
  }

  async setRange(minutes) {
    this.minutes = minutes;
    this.changed("selected");
    if (this.selected !== null) await this._loadHistory(this.selected);
  }

  /** Update the state with one event. */
  applyEvent(kind, document) {
    if (kind === "status") {
      this.health = document;
      this.changed("health");
      return;
    }
    const name = document.device;
    if (kind === "device" && document.state === "forgotten") {
      if (this._remove(name)) this.nDevices--;
      if (name === this.selected) this._selectOther().catch(this.failed);
      this.changed("devices");
      return;
    }
    const device = this.devices.get(name) ?? this._add(name);
    if (kind === "device") device.online = document.state === "online";
    if (kind === "reading") {
      device.last_reading = { ts: document.ts, gap_kw: document.gap_kw };
      device.last_reading_filled = document.filled === true;
      dropOutdated(device);
    }
    if (kind === "forecast") {
      Object.assign(device, { forecast: document, n_observed: document.n_observed, context: document.context });
      if (isClockRight(document)) device.clock_offset_min = null;
    }
    this.changed("devices");
    if (this.selected === null && this.isLoaded) this.select(name).catch(this.failed);
    if (name !== this.selected) return;
    if (kind === "reading" && !this.series.addReading(document.ts, document.gap_kw, document.filled === true)) {
      this._loadHistory(name).catch(this.failed);
    }
    if (kind === "scores") this.scores = document;
    if (kind === "outlook") this.series.setOutlook(document);
    if (kind === "demand") this.demand = document; // the month's highest windows and the warning stay
    if (kind === "forecast") {
      this.series.addForecast(document);
      this._detailSoon();
    }
    this.changed("selected");
  }

  get device() {
    return this.devices.get(this.selected) ?? null;
  }

  /** Why there is no history: "none" is stored for this device, or it is "due" with the first reading after a restart; or null. */
  get missingHistory() {
    if (this.hasHistory || this._hasReported === null) return null;
    return this._hasReported ? "none" : "due";
  }

  _setDemand(document) {
    this.restDemand = document;
    if (!isOlder(document, this.demand)) this.demand = document;
  }

  first() {
    for (const [name, device] of this.devices) if (device.forecast) return name;
    return this.devices.keys().next().value ?? null;
  }

  _add(name) {
    const device = { device: name, online: null, last_reading: null, forecast: null, n_observed: 0, context: 0 };
    if (this.devices.size < MAX_DEVICES) {
      this.devices.set(name, device);
      this.nDevices++;
      this.listVersion++;
    }
    return device;
  }

  _remove(name) {
    this.listVersion++;
    return this.devices.delete(name);
  }

  _mergePage(page, known) {
    this.nDevices = page.n_devices;
    for (const device of page.devices) {
      known.add(device.device);
      this._merge(device);
    }
    this.changed("devices");
  }

  _merge(device) {
    const current = this.devices.get(device.device);
    if (!current) this.listVersion++;
    if (isOlder(device.forecast, current?.forecast)) {
      Object.assign(current, { online: device.online, clock_offset_min: device.clock_offset_min });
    } else this.devices.set(device.device, dropOutdated(device));
  }

  async _loadSelected(withHistory) {
    const name = this.selected;
    this._detailAt = Date.now();
    try {
      const [device, history] = await Promise.all([getJson(deviceRoute(name)), withHistory ? this._history(name) : null]);
      if (name !== this.selected) return;
      this._merge(device);
      if (history) {
        this.series.clearIfAfter(this.device.last_reading);
        this._addHistory(history);
      }
      this.scores = device.scores;
      this._hasReported = device.online === true;
      const { forecast, last_reading: reading } = this.device;
      if (reading) this.series.extendTo(reading.ts);
      this.series.setNewestForecast(forecast);
      if (!isOlder(device.outlook, this.series.outlook?.document)) this.series.setOutlook(forecast && device.outlook);
      this._setDemand(device.demand ?? null);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      if (name !== this.selected) return;
      // Unknown, or removed meanwhile: show what its events contain.
      [this.hasHistory, this._hasReported] = [false, null];
    }
    this.changed("selected");
  }

  _history(name) {
    return getJson(`${deviceRoute(name)}/history?minutes=${this.minutes}`);
  }

  async _loadHistory(name) {
    const history = await this._history(name);
    if (name === this.selected) this._addHistory(history);
  }

  _addHistory(history) {
    this.hasHistory = history.readings.length + history.forecasts.length > 0; // filled minutes alone have forecasts
    this.series.addHistory(history);
    this.changed("selected");
  }

  _detailSoon() {
    if (this._detailDue) return;
    const wait = Math.max(0, this._detailAt + DETAIL_MS - Date.now());
    this._detailDue = setTimeout(() => {
      this._detailDue = null;
      // Also the history if there was none: right after a restart the gateway has none yet.
      if (this.selected !== null) this._loadSelected(!this.hasHistory).catch(() => {}); // the event stream reports the lost connection
    }, wait);
  }
}
