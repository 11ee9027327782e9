// How good the forecasts have been, who speaks in them, and how far the start is.

import { byId, make, write } from "./dom.js";
import { ENOUGH, NOTHING, PERIODS, count, kw3, percent, skill } from "./words.js";

const NAMES = { learned: "learnt here", persistence: "same as now" };

export function showTrust(house) {
  showPeriods(house.scores);
  showExperts(house.device?.forecast ?? null);
  showWarmUp(house.device, house.scores);
}

function showPeriods(scores) {
  const periods = Object.keys(PERIODS).filter((name) => scores?.[name]);
  const told = periods.map((name) => scores[name]);
  byId("scores").hidden = !told.length;
  write(
    byId("scores-note"),
    told.length
      ? "Better or worse by the squared error of the mean; off by how far the median was from what came, on average."
      : "No scores yet: the first comes five minutes after the first forecast.",
  );
  byId("periods").replaceChildren(make("tr", "", make("td", ""), ...periods.map((name) => head("col", PERIODS[name]))));
  const line = (name, cell) => make("tr", "", head("row", name), ...told.map(cell));
  byId("figures").replaceChildren(
    line("Than no change", better),
    line("Within the bounds", ({ enough, coverage }) => cell(enough && coverage !== null ? percent(coverage) : NOTHING)),
    line("Off by, kW", ({ enough, mae_kw }) => cell(enough ? kw3(mae_kw) : NOTHING)),
    line("No change: off by", ({ enough, persistence }) => cell(enough ? kw3(persistence.mae_kw) : NOTHING)),
    line("Outcomes", ({ enough, n }) => cell(enough ? count(n) : `${count(n)} of ${ENOUGH}`)),
  );
}

function head(scope, text) {
  const element = make("th", "", text);
  element.scope = scope;
  return element;
}

const cell = (text) => make("td", "", text);

function better({ enough, skill: value }) {
  if (!enough) return make("td", "muted", "too few yet");
  const [phrase, how] = value === null ? [NOTHING, "even"] : skill(value);
  const element = make("td", "phrase", phrase.replace(/ (than|as) assuming no change/, ""));
  element.dataset.is = how;
  return element;
}

function showExperts(forecast) {
  const weights = Object.entries(forecast?.experts ?? {}).sort((a, b) => b[1] - a[1]);
  const alone = forecast && !weights.length;
  write(
    byId("experts-note"),
    alone
      ? `${forecast.model} ${forecast.model_version}, alone.`
      : weights.length ? "Each by its weight, as it earns it in this house: in the mean, and in the median with its bounds." : "No forecast yet.",
  );
  byId("experts").parentElement.hidden = !weights.length;
  byId("experts").replaceChildren(...weights.map(([name, weight]) => bar(name, weight, forecast.median_experts?.[name] ?? 0)));
}

function bar(name, weight, inMedian) {
  const share = make("span", "share");
  share.style.inlineSize = `${100 * weight}%`;
  const expert = head("row", NAMES[name] ?? name);
  expert.append(make("span", "track", share));
  return make("tr", "", expert, weightOf(weight), weightOf(inMedian));
}

function weightOf(weight) {
  const value = make("data", "", percent(weight));
  value.value = String(weight);
  return make("td", "", value);
}

function showWarmUp(device, scores) {
  const steps = [];
  if (device?.context) {
    const [seen, context] = [device.n_observed, device.context];
    steps.push(step("Minutes seen", seen, context, seen >= context ? `all ${context}` : `${seen} of ${context}`));
  }
  const n = scores?.ever?.n ?? 0;
  steps.push(step("Outcomes for a verdict", n, ENOUGH, n >= ENOUGH ? "enough" : `${count(n)} of ${ENOUGH}`));
  byId("warm").replaceChildren(...steps);
}

function step(name, value, most, text) {
  const meter = make("progress");
  meter.max = most;
  meter.value = Math.min(value, most);
  const label = make("label", "warm", make("span", "", name), make("span", "muted", text), meter);
  return label;
}
