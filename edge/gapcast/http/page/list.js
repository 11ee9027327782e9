// The devices: thousands of them, of which only those in sight are in the document.

import { byId, make, write } from "./dom.js";
import { MOST_DEVICES } from "./house.js";
import { NOTHING, count, kw, state } from "./words.js";

const ROW_PX = 56;
const BEYOND = 6;
const compare = new Intl.Collator("en", { numeric: true }).compare;

export class List {
  constructor(house, choose) {
    this.house = house;
    this.choose = choose;
    this.names = [];
    this.active = null;
    this._at = new Map();
    this._rows = new Map();
    this._nRows = 0;
    this._box = byId("list");
    this._room = byId("list-room");
    this._known = "";
    this._box.addEventListener("scroll", () => this.draw(), { passive: true });
    this._box.addEventListener("keydown", (event) => this._key(event));
    this._box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this._take(row.dataset.name);
    });
    byId("filter").addEventListener("input", () => {
      this._known = "";
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
    this._find();
    const n = this.names.length;
    const height = Math.min(n, 8) * ROW_PX;
    this._box.style.blockSize = `${Math.max(height, ROW_PX)}px`;
    this._room.style.blockSize = `${n * ROW_PX}px`;
    const first = Math.max(0, Math.floor(this._box.scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(n, Math.ceil((this._box.scrollTop + height) / ROW_PX) + BEYOND);
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

  _find() {
    const { devices, nDevices } = this.house;
    const wanted = byId("filter").value.trim().toLowerCase();
    const known = `${this.house.listing} ${nDevices} ${wanted}`;
    if (known === this._known) return;
    this._known = known;
    this.names = [...devices.keys()].filter((name) => name.toLowerCase().includes(wanted)).sort(compare);
    this._at = new Map(this.names.map((name, at) => [name, at]));
    const all = nDevices > MOST_DEVICES ? `the first ${count(devices.size)} of ${count(nDevices)}` : count(devices.size);
    write(byId("count"), wanted ? `${count(this.names.length)} of ${all}` : all);
  }

  _draw(name, at) {
    const device = this.house.devices.get(name);
    let row = this._rows.get(name);
    if (!row) {
      row = make("div", "device", make("span", "name", name), make("span", "state"), make("span", "kw"), make("span", "ahead"));
      row.setAttribute("role", "option");
      row.dataset.name = name;
      row.id = `device-${++this._nRows}`;
      this._rows.set(name, row);
      this._room.append(row);
    }
    row.style.transform = `translateY(${at * ROW_PX}px)`;
    row.setAttribute("aria-posinset", at + 1);
    row.setAttribute("aria-setsize", this.names.length);
    row.setAttribute("aria-selected", name === this.house.chosen);
    row.classList.toggle("active", name === this.active);
    if (name === this.active) this._box.setAttribute("aria-activedescendant", row.id);
    const [, stateText, now, ahead] = row.children;
    const [word, how] = state(device);
    write(stateText, word);
    stateText.dataset.is = how;
    write(now, device.last_reading ? `${kw(device.last_reading.gap_kw)} kW` : NOTHING);
    write(ahead, device.forecast ? `${kw(device.forecast.gap_kw)} kW in ${device.forecast.horizon_min} min` : NOTHING);
  }

  _key(event) {
    const { names } = this;
    if (!names.length) return;
    const at = this._at.get(this.active) ?? this._at.get(this.house.chosen) ?? -1;
    const page = Math.max(1, Math.floor(this._box.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: names.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      this._move(names[Math.min(names.length - 1, Math.max(0, steps[event.key]))]);
    } else if ((event.key === "Enter" || event.key === " ") && this.active !== null) {
      event.preventDefault();
      this._take(this.active);
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

  _take(name) {
    this.active = name;
    this.choose(name);
  }
}
