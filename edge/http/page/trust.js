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
  const told = Object.keys(PERIODS).filter((name) => scores?.[name]);
  byId("periods").replaceChildren(...told.map((name) => period(PERIODS[name], scores[name])));
  byId("scores").hidden = !told.length;
  write(
    byId("scores-note"),
    told.length
      ? "Better or worse by the squared error of the mean; off by: how far the median was from what came, on average, and in brackets where nothing is assumed to change."
      : "No scores yet: the first comes five minutes after the first forecast.",
  );
}

function period(title, scores) {
  const head = make("th", "", title);
  head.scope = "row";
  if (!scores.enough) {
    const none = make("td", "muted", "too few for a verdict");
    none.colSpan = 3;
    return make("tr", "", head, none, make("td", "", `${count(scores.n)} of ${ENOUGH}`));
  }
  const [phrase, how] = scores.skill === null ? [NOTHING, "even"] : skill(scores.skill);
  const better = make("td", "phrase", phrase.replace(" than assuming no change", "").replace("as good as assuming no change", "as good"));
  better.dataset.is = how;
  return make(
    "tr", "", head, better,
    make("td", "", scores.coverage === null ? NOTHING : percent(scores.coverage)),
    make("td", "", `${kw3(scores.mae_kw)} (${kw3(scores.persistence.mae_kw)})`),
    make("td", "", count(scores.n)),
  );
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
  const head = make("th", "name", NAMES[name] ?? name);
  head.scope = "row";
  const track = make("td", "", make("span", "track", share));
  track.setAttribute("aria-hidden", "true");
  return make("tr", "", head, track, weightOf(weight), weightOf(inMedian));
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
