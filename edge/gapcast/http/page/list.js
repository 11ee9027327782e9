// The list of devices. It may hold thousands; only the visible rows are in the document.

import { byId, make, write } from "./dom.js";
import { MAX_DEVICES } from "./store.js";
import { NOTHING, count, isSilent, kw, state } from "./format.js";

// 3.5rem, as in the style sheet: it follows the font size that is set in the browser.
const ROW_PX = 3.5 * parseFloat(getComputedStyle(document.documentElement).fontSize);
const EXTRA_ROWS = 6;
const compare = new Intl.Collator("en", { numeric: true }).compare;

export class DeviceList {
  constructor(store, select) {
    this.store = store;
    this.select = select;
    this.names = [];
    this.active = null;
    this._selected = null;
    this._at = new Map();
    this._rows = new Map();
    this._nRows = 0;
    this._box = byId("list");
    this._spacer = byId("list-spacer");
    this._filtered = "";
    this._box.addEventListener("scroll", () => this.draw(), { passive: true });
    this._box.addEventListener("keydown", (event) => this._key(event));
    this._box.addEventListener("focus", () => {
      const { selected } = this.store;
      if (this._box.matches(":focus-visible") && !this._at.has(this.active) && this._at.has(selected)) this._move(selected);
    });
    this._box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this._select(row.dataset.name);
    });
    byId("filter").addEventListener("input", () => {
      this._filtered = "";
      this._box.scrollTop = 0;
      this.draw();
    });
    byId("filter").addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && this.names.length) {
        event.preventDefault();
        this._box.focus();
        this._move(this.names[0]);
      }
    });
  }

  draw() {
    this._filter();
    if (this._selected !== this.store.selected) {
      this._selected = this.store.selected; // by a link, or by the browser's back button
      this.active = null; // the keyboard begins at the selected device
    }
    const n = this.names.length;
    const height = Math.min(n, 8) * ROW_PX;
    this._box.style.blockSize = `${Math.max(height, ROW_PX)}px`;
    this._spacer.style.blockSize = `${n * ROW_PX}px`;
    const first = Math.max(0, Math.floor(this._box.scrollTop / ROW_PX) - EXTRA_ROWS);
    const last = Math.min(n, Math.ceil((this._box.scrollTop + height) / ROW_PX) + EXTRA_ROWS);
    const shown = new Set(this.names.slice(first, last));
    if (this._at.has(this.active)) shown.add(this.active);
    else this._box.removeAttribute("aria-activedescendant");
    for (const [name, row] of this._rows) {
      if (shown.has(name)) continue;
      row.remove();
      this._rows.delete(name);
    }
    for (const name of shown) this._draw(name, this._at.get(name));
  }

  _filter() {
    const { devices, nDevices } = this.store;
    const query = byId("filter").value.trim().toLowerCase();
    const filtered = `${this.store.listVersion} ${nDevices} ${query}`;
    if (filtered === this._filtered) return;
    this._filtered = filtered;
    this.names = [...devices.keys()].filter((name) => name.toLowerCase().includes(query)).sort(compare);
    this._at = new Map(this.names.map((name, at) => [name, at]));
    const all = nDevices > MAX_DEVICES ? `first ${count(devices.size)} of ${count(nDevices)}` : count(devices.size);
    write(byId("count"), query ? `${count(this.names.length)} of ${all}` : all);
  }

  _draw(name, at) {
    const device = this.store.devices.get(name);
    let row = this._rows.get(name);
    if (!row) {
      row = make("div", "device", make("span", "name", name), make("span", "state"), make("span", "kw"), make("span", "ahead"));
      row.setAttribute("role", "option");
      row.dataset.name = name;
      row.id = `device-${++this._nRows}`;
      this._rows.set(name, row);
      this._spacer.append(row);
    }
    row.style.transform = `translateY(${at * ROW_PX}px)`;
    row.setAttribute("aria-posinset", at + 1);
    row.setAttribute("aria-setsize", this.names.length);
    row.setAttribute("aria-selected", name === this.store.selected);
    row.classList.toggle("active", name === this.active);
    if (name === this.active) this._box.setAttribute("aria-activedescendant", row.id);
    const [, stateText, now, ahead] = row.children;
    const [word, rating] = state(device);
    write(stateText, word);
    stateText.dataset.is = rating;
    write(now, device.last_reading ? `${kw(device.last_reading.gap_kw)} kW` : NOTHING);
    const forecast = isSilent(device) ? null : device.forecast;
    write(ahead, forecast ? `${kw(forecast.gap_kw)} kW in ${forecast.horizon_min} min` : NOTHING);
  }

  _key(event) {
    const { names } = this;
    if (!names.length) return;
    const at = this._at.get(this.active) ?? this._at.get(this.store.selected) ?? -1;
    const page = Math.max(1, Math.floor(this._box.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: names.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      this._move(names[Math.min(names.length - 1, Math.max(0, steps[event.key]))]);
    } else if ((event.key === "Enter" || event.key === " ") && this._at.has(this.active)) {
      event.preventDefault();
      this._select(this.active);
    }
  }

  _move(name) {
    this.active = name;
    const top = this._at.get(name) * ROW_PX;
    const { scrollTop, clientHeight } = this._box;
    if (top < scrollTop) this._box.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this._box.scrollTop = top + ROW_PX - clientHeight;
    this.draw();
  }

  _select(name) {
    this.active = this._selected = name;
    this.select(name);
  }
}
