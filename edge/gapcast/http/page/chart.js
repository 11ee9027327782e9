// The chart: the measured power, and each forecast with its 90 % interval at the minute it is for.

import { byId, write } from "./dom.js";
import { kw, kw3, minutesText, moment, time } from "./format.js";

const FONT = "12px system-ui, sans-serif";
const OUTSIDE = { left: -10, top: -10 };
const MISSING_HISTORY = {
  none: " The gateway stores no history for this device (history.max_devices); the chart begins now.",
  due: " The history follows with the next reading.",
};

function colours() {
  const style = getComputedStyle(byId("chart-head"));
  const probe = document.createElement("span");
  byId("chart").append(probe);
  const of = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(
    ["measured", "forecast", "band", "muted", "grid", "ahead", "edge"].map((name) => [name, of(name)]),
  );
  probe.remove();
  return { ...found, family: style.fontFamily };
}

/** Indices of the values of `column` between two that are missing: no line goes through them, so they are drawn as points. */
function isolated(column) {
  const at = [];
  column.forEach((value, i) => {
    if (value !== null && (column[i - 1] ?? null) === null && (column[i + 1] ?? null) === null) at.push(i);
  });
  return at;
}

export class Chart {
  constructor(series) {
    this.series = series;
    this.minutes = 180;
    this.missingHistory = null;
    this.isSilent = false;
    this._plot = null;
    this._nowS = null;
    this._tappedS = null; // the minute of the last tap, until the mouse or another tap ends it
    new ResizeObserver(() => this._resize()).observe(byId("chart"));
    document.addEventListener("theme", () => this._rebuild());
    document.addEventListener("pointerdown", (event) => this._touch(event));
  }

  /** Draw the last `minutes`. `missingHistory`: see the store. `isSilent`: the newest minute is not now. */
  draw(minutes, missingHistory = this.missingHistory, isSilent = this.isSilent) {
    this.minutes = minutes;
    this.missingHistory = missingHistory;
    this.isSilent = isSilent;
    const columns = this.series.columns(minutes);
    this._nowS = this.series.newest === null ? null : this.series.newest * 60;
    if (!this._plot) this._plot = new uPlot(this._options(), columns, byId("chart"));
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

  _rebuild() {
    if (!this._plot) return;
    this._plot.destroy();
    this._plot = null;
    this.draw(this.minutes);
  }

  _options() {
    const ink = colours();
    const axis = { stroke: ink.muted, font: FONT, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false } };
    const points = { show: false, filter: (plot, i) => isolated(plot.data[i]), width: 0 };
    const line = (stroke, width, more = {}) => ({ stroke, width, points: { ...points, size: 2 + width, fill: stroke }, ...more });
    return {
      ...this._size(),
      legend: { show: false },
      cursor: {
        y: false, drag: { x: false, y: false }, points: { size: 7 },
        bind: {
          mousemove: (_plot, _target, move) => (event) => {
            if (event.movementX || event.movementY) this._tappedS = null; // not derived from a tap
            move(event);
          },
          mouseleave: (_plot, _target, leave) => (event) => this._tappedS !== null || leave(event),
        },
      },
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
        line(ink.measured, 2),
        line(ink.edge, 1),
        line(ink.edge, 1),
        line(ink.forecast, 1.75),
        line(ink.forecast, 2.5, { dash: [2, 4], spanGaps: true }), // without a path only the target minute is known
        line(ink.forecast, 1),
      ],
      bands: [{ series: [3, 2], fill: ink.band }],
      hooks: {
        drawClear: [(plot) => this._shadeAhead(plot, ink)],
        draw: [(plot) => this._markNow(plot, ink), (plot) => this._followTap(plot)],
        setCursor: [(plot) => this._showReadout(plot)],
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
    if (!this.isSilent) ctx.fillText("now", x - 5 * ratio, bbox.top + 13 * ratio);
    ctx.restore();
  }

  /** uPlot follows only the mouse: show the minute below a finger's last tap, until it taps elsewhere. */
  _touch({ pointerType, target, clientX, clientY }) {
    this._tappedS = null;
    if (!this._plot || pointerType === "mouse") return;
    const { cursor, data, over } = this._plot;
    const { left, top } = over.getBoundingClientRect();
    const isInside = target === over;
    this._plot.setCursor(isInside ? { left: clientX - left, top: clientY - top } : OUTSIDE);
    if (isInside) this._tappedS = data[0][cursor.idx] ?? null;
  }

  /** Keep the cursor at the tapped minute, which moves to the left, until it leaves the chart. */
  _followTap(plot) {
    if (this._tappedS === null) return;
    if (!plot.data[0].includes(this._tappedS)) this._tappedS = null;
    plot.setCursor(this._tappedS === null ? OUTSIDE : { left: plot.valToPos(this._tappedS, "x"), top: 0 });
  }

  _showReadout(plot) {
    const at = plot.cursor.idx;
    const readout = byId("readout");
    if (at === null || at === undefined || plot.cursor.left < 0) {
      write(readout, "");
      return;
    }
    const [seconds, measured, lower, upper, forecast, path, median] = plot.data.map((column) => column[at]);
    const parts = [time(1000 * seconds)];
    if (measured !== null) parts.push(`measured ${kw3(measured)} kW`);
    if (forecast !== null) parts.push(`forecast ${kw3(forecast)} kW`);
    if (measured === null && path !== null) parts.push(`forecast ${kw3(path)} kW`);
    if (median !== null) parts.push(`median ${kw3(median)} kW`);
    if (lower !== null) parts.push(`90 % interval ${kw3(lower)} to ${kw3(upper)} kW`);
    const until = measured === null && !this.isSilent ? this.series.outlook?.at(seconds / 60) : null;
    if (until) parts.push(`mean from now until then ${kw3(until.meanTo)} kW (${kw3(until.lowerTo)} to ${kw3(until.upperTo)})`);
    write(readout, parts.join(" · "));
  }

  _describe([, measured, lower, upper]) {
    const values = measured.filter((value) => value !== null);
    const pairs = measured.map((value, i) => [value, lower[i], upper[i]]).filter((p) => p[0] !== null && p[1] !== null);
    const nInside = pairs.filter(([value, low, high]) => low <= value && value <= high).length;
    const age = this.series.newest === null ? this.minutes : this.series.age();
    const soFar = age < this.minutes ? ` (${minutesText(age)} so far)` : "";
    const hours = this.minutes >= 120 ? `${this.minutes / 60} hours` : "hour";
    const text = values.length
      ? `Last ${hours}${soFar}, until ${moment(1000 * this._nowS)}: measured ${kw(Math.min(...values))} to ${kw(Math.max(...values))} kW` +
        (pairs.length ? `; ${nInside} of ${pairs.length} values inside the 90 % interval.` : ".") +
        this._describeAhead()
      : "No measured values yet.";
    write(byId("chart-note"), text + (MISSING_HISTORY[this.missingHistory] ?? ""));
    byId("chart").setAttribute("aria-label", "Chart of measured and forecast power in kW over time; the tables below have the same data");
    byId("key-median").hidden = this.series.outlook === null;
  }

  _describeAhead() {
    const { forecast, outlook } = this.series;
    const next = forecast ? ` Forecast for ${time(forecast.target_at)}: ${kw(forecast.gap_kw)} kW.` : "";
    const hour = this.isSilent ? null : outlook?.next(60);
    return next + (hour ? ` Mean of the next hour: ${kw(hour.mean)} kW, 90 % interval ${kw(hour.lower)} to ${kw(hour.upper)} kW.` : "");
  }
}
