// The chart: what was read as a line, what was foreseen and its bounds at the minute they speak of, now and ahead.

import { byId, write } from "./dom.js";
import { kw, kw3, time } from "./words.js";

const FONT = "12px system-ui, sans-serif";

function colours() {
  const style = getComputedStyle(byId("chart-head"));
  const probe = document.createElement("span");
  byId("chart").append(probe);
  const of = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(
    ["read", "told", "band", "muted", "grid", "ahead", "edge"].map((name) => [name, of(name)]),
  );
  probe.remove();
  return { ...found, family: style.fontFamily };
}

export class Chart {
  constructor(series) {
    this.series = series;
    this.minutes = 180;
    this.hasHistory = true;
    this._plot = null;
    this._nowS = null;
    new ResizeObserver(() => this._resize()).observe(byId("chart"));
    document.addEventListener("theme", () => this._renew());
  }

  draw(minutes, hasHistory = this.hasHistory) {
    this.minutes = minutes;
    this.hasHistory = hasHistory;
    const columns = this.series.columns(minutes);
    this._nowS = this.series.newest === null ? null : this.series.newest * 60;
    if (!this._plot) this._plot = new uPlot(this._options(columns), columns, byId("chart"));
    else this._plot.setData(columns);
    this._describe(columns);
  }

  _size() {
    const width = Math.max(240, byId("chart").clientWidth);
    return { width, height: width < 520 ? 240 : 320 };
  }

  _resize() {
    if (this._plot && this._size().width !== this._plot.width) this._plot.setSize(this._size());
  }

  _renew() {
    if (!this._plot) return;
    this._plot.destroy();
    this._plot = null;
    this.draw(this.minutes);
  }

  _options() {
    const ink = colours();
    const axis = { stroke: ink.muted, font: FONT, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false } };
    const line = (stroke, width, more = {}) => ({ stroke, width, points: { show: false }, ...more });
    return {
      ...this._size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: true },
        y: { range: (_plot, low, high) => [Math.min(0, 1.08 * (low ?? 0)), Math.max(0.5, (high ?? 0) * 1.08)] },
      },
      axes: [
        { ...axis, space: 70, size: 34, values: (_plot, ticks) => ticks.map((s) => time(1000 * s)) },
        { ...axis, size: 46, values: (_plot, ticks) => ticks.map((v) => String(Math.round(1000 * v) / 1000)) },
      ],
      series: [
        {},
        line(ink.read, 2),
        line(ink.edge, 1),
        line(ink.edge, 1),
        line(ink.told, 1.75),
        line(ink.told, 2.5, { dash: [2, 4] }),
      ],
      bands: [{ series: [3, 2], fill: ink.band }],
      hooks: {
        drawClear: [(plot) => this._shadeAhead(plot, ink)],
        draw: [(plot) => this._markNow(plot, ink)],
        setCursor: [(plot) => this._readOut(plot)],
      },
    };
  }

  _shadeAhead(plot, ink) {
    if (this._nowS === null) return;
    const { ctx, bbox } = plot;
    const x = plot.valToPos(this._nowS, "x", true);
    ctx.save();
    ctx.fillStyle = ink.ahead;
    ctx.fillRect(x, bbox.top, bbox.left + bbox.width - x, bbox.height);
    ctx.restore();
  }

  _markNow(plot, ink) {
    if (this._nowS === null) return;
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const x = Math.round(plot.valToPos(this._nowS, "x", true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = ink.muted;
    ctx.lineWidth = ratio;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `600 ${12 * ratio}px ${ink.family}`;
    ctx.textAlign = "right";
    ctx.fillText("now", x - 5 * ratio, bbox.top + 13 * ratio);
    ctx.restore();
  }

  _readOut(plot) {
    const at = plot.cursor.idx;
    const readout = byId("readout");
    if (at === null || at === undefined || plot.cursor.left < 0) {
      write(readout, "");
      return;
    }
    const [seconds, read, lower, upper, told, path] = plot.data.map((column) => column[at]);
    const parts = [time(1000 * seconds)];
    if (read !== null) parts.push(`read ${kw3(read)} kW`);
    if (told !== null) parts.push(`foreseen ${kw3(told)} kW`);
    if (lower !== null) parts.push(`between ${kw3(lower)} and ${kw3(upper)} kW`);
    if (read === null && path !== null) parts.push(`by the newest forecast ${kw3(path)} kW`);
    write(readout, parts.join(" · "));
  }

  _describe([seconds, read, lower, upper, , path]) {
    const values = read.filter((value) => value !== null);
    const pairs = read.map((value, i) => [value, lower[i], upper[i]]).filter((p) => p[0] !== null && p[1] !== null);
    const held = pairs.filter(([value, low, high]) => low <= value && value <= high).length;
    const hours = this.minutes >= 120 ? `${this.minutes / 60} hours` : "hour";
    const text = values.length
      ? `The last ${hours} to ${time(1000 * this._nowS)}: read ${kw(Math.min(...values))} to ${kw(Math.max(...values))} kW` +
        (pairs.length ? `; ${held} of ${pairs.length} readings within the bounds foreseen for them.` : ".") +
        ((path.at(-1) ?? null) === null ? "" : ` Foreseen for ${time(1000 * seconds.at(-1))}: ${kw(path.at(-1))} kW.`)
      : "Nothing was read yet.";
    const since = this.hasHistory ? "" : " The gateway keeps no history of this device (history.max_devices): it is shown from now on.";
    write(byId("chart-note"), text + since);
    byId("chart").setAttribute("aria-label", "Chart of power in kW over time; the table below says the same");
  }
}
