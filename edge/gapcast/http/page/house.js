// What is known here of the gateway and its devices: asked for once, and then kept up by its events.

import { Problem, ask } from "./ask.js";
import { Series } from "./series.js";

const PAGE = 500;
// Devices that are listed; a larger fleet's others are found by the page's address: #device=NAME.
export const MOST_DEVICES = 5_000;
// The chosen device's scores change with each minute; they are asked for this often at most.
const DETAIL_MS = 5_000;
const RELOAD_MS = 5_000;

const atDevice = (name) => `devices/${encodeURIComponent(name)}`;

export class House {
  /** `changed(what)` is called with "devices", "chosen" or "health". */
  constructor(changed) {
    this.changed = changed;
    this.devices = new Map();
    this.nDevices = 0;
    /** Rises when names come or go. */
    this.listing = 0;
    this.health = null;
    this.chosen = null;
    this.scores = null;
    this.series = new Series();
    this.minutes = 180;
    this.hasHistory = true;
    this.loaded = false;
    this._round = 0;
    this._detailAt = 0;
    this._detailDue = null;
    this._reloadAt = 0;
    this._reloadDue = null;
  }

  /** Ask for everything, the first screen's first. */
  async load(wanted) {
    const round = ++this._round;
    const page = await ask("devices?limit=50");
    if (round !== this._round) return;
    const known = new Set();
    this._take(page, known);
    this.loaded = true;
    if (this.chosen === null || wanted) await this.choose(wanted ?? this.first());
    else await this._loadChosen(true);
    let next = page.next;
    while (next !== null && known.size < MOST_DEVICES) {
      const more = await ask(`devices?limit=${PAGE}&after=${encodeURIComponent(next)}`);
      if (round !== this._round) return;
      this._take(more, known);
      next = more.next;
    }
    if (next === null) {
      for (const name of this.devices.keys()) if (!known.has(name)) this._removed(name);
      this.changed("devices");
    }
  }

  /** Load again, soon: something may have been missed. */
  reload(failed) {
    if (this._reloadDue) return;
    const wait = Math.max(0, this._reloadAt + RELOAD_MS - Date.now());
    this._reloadDue = setTimeout(() => {
      this._reloadDue = null;
      this._reloadAt = Date.now();
      this.load().catch(failed);
    }, wait);
  }

  async choose(name) {
    if (name !== this.chosen) {
      this.chosen = name;
      this.scores = null;
      this.series.clear();
      this.hasHistory = true;
    }
    this.changed("chosen");
    if (name !== null) await this._loadChosen(true);
  }

  async look(minutes) {
    this.minutes = minutes;
    this.changed("chosen");
    if (this.chosen !== null) await this._loadHistory(this.chosen);
  }

  /** Take in one event. */
  take(kind, document) {
    if (kind === "status") {
      this.health = document;
      this.changed("health");
      return;
    }
    const name = document.device;
    if (kind === "device" && document.state === "forgotten") {
      if (this._removed(name)) this.nDevices--;
      if (name === this.chosen) this.choose(this.first()).catch(() => {});
      this.changed("devices");
      return;
    }
    const device = this.devices.get(name) ?? this._added(name);
    if (kind === "device") device.online = document.state === "online";
    if (kind === "reading") device.last_reading = { ts: document.ts, gap_kw: document.gap_kw };
    if (kind === "forecast") Object.assign(device, { forecast: document, n_observed: document.n_observed, context: document.context });
    this.changed("devices");
    if (this.chosen === null && this.loaded) this.choose(name).catch(() => {}); // the events' line says what is lost
    if (name !== this.chosen) return;
    if (kind === "reading") this.series.addReading(document.ts, document.gap_kw);
    if (kind === "scores") this.scores = document;
    if (kind === "forecast") {
      this.series.addForecast(document);
      this._detailSoon();
    }
    this.changed("chosen");
  }

  get device() {
    return this.devices.get(this.chosen) ?? null;
  }

  first() {
    for (const [name, device] of this.devices) if (device.forecast) return name;
    return this.devices.keys().next().value ?? null;
  }

  _added(name) {
    const device = { device: name, online: null, last_reading: null, forecast: null, n_observed: 0, context: 0 };
    if (this.devices.size < MOST_DEVICES) {
      this.devices.set(name, device);
      this.nDevices++;
      this.listing++;
    }
    return device;
  }

  _removed(name) {
    this.listing++;
    return this.devices.delete(name);
  }

  _take(page, known) {
    this.nDevices = page.n_devices;
    for (const told of page.devices) {
      known.add(told.device);
      this._merge(told);
    }
    this.changed("devices");
  }

  // An answer may be older than an event that came while it was under way.
  _merge(told) {
    const here = this.devices.get(told.device);
    if (!here) this.listing++;
    if (here?.forecast && told.forecast && here.forecast.issued_at > told.forecast.issued_at) here.online = told.online;
    else this.devices.set(told.device, told);
  }

  async _loadChosen(withHistory) {
    const name = this.chosen;
    this._detailAt = Date.now();
    try {
      const [told] = await Promise.all([ask(atDevice(name)), withHistory ? this._loadHistory(name) : null]);
      if (name !== this.chosen) return;
      this._merge(told);
      this.scores = told.scores;
      this.series.path = this.device.forecast?.path ?? [];
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      if (name !== this.chosen) return;
      this.hasHistory = false; // unknown by now, or never heard of: what its events say is shown
    }
    this.changed("chosen");
  }

  async _loadHistory(name) {
    const history = await ask(`${atDevice(name)}/history?minutes=${this.minutes}`);
    if (name !== this.chosen) return;
    this.hasHistory = history.readings.length > 0;
    this.series.addHistory(history);
    this.changed("chosen");
  }

  _detailSoon() {
    if (this._detailDue) return;
    const wait = Math.max(0, this._detailAt + DETAIL_MS - Date.now());
    this._detailDue = setTimeout(() => {
      this._detailDue = null;
      if (this.chosen !== null) this._loadChosen(false).catch(() => {}); // the events' line says that it is lost
    }, wait);
  }
}
