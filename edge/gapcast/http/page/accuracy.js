// Shows the forecast accuracy, the ensemble weights, and the progress of the warm-up.

import { byId, make, write } from "./dom.js";
import { MIN_OUTCOMES, NOTHING, NOT_SCORED, PERIODS, assessmentIn, count, kw3, percent, skill } from "./format.js";

const MEMBER_NAMES = {
  learned: "online model (RLS)",
  submetered: "online model with submeters",
  refit: "trees fitted at night",
};
// For a device without trees or submeters, these members forecast like the online model.
const MISSING_NAMES = { submetered: "submeters (none)", refit: "trees (none yet)" };

export function showAccuracy(store) {
  const isScored = store.device?.tracked !== false;
  showScores(isScored ? store.scores : null, isScored);
  showEnsemble(store.device);
  showWarmUp(store.device, store.scores, isScored);
}

function showScores(scores, isScored) {
  const periods = Object.keys(PERIODS).filter((name) => scores?.[name]);
  const summaries = periods.map((name) => scores[name]);
  byId("scores").hidden = !summaries.length;
  write(
    byId("scores-note"),
    summaries.length
      ? "vs. persistence: difference in mean squared error (mean forecast). MAE: mean absolute error (median forecast). Outcomes: forecasts compared with a measurement. Last day: 24 to 27 hours; last week: 7 to 8 days."
      : isScored ? "No scores yet. The first appears when the minute of the first forecast has been measured." : `${NOT_SCORED}.`,
  );
  byId("periods").replaceChildren(make("tr", "", make("td", ""), ...periods.map((name) => head("col", PERIODS[name]))));
  const line = (name, toCell) => make("tr", "", head("row", name), ...summaries.map(toCell));
  byId("figures").replaceChildren(
    line("vs. persistence", skillCell),
    line("90 % interval coverage", ({ sufficient, coverage }) => cell(sufficient && coverage !== null ? percent(coverage) : NOTHING)),
    line("Mean absolute error, kW", ({ sufficient, mae_kw }) => cell(sufficient ? kw3(mae_kw) : NOTHING)),
    line("Persistence MAE, kW", ({ sufficient, persistence }) => cell(sufficient ? kw3(persistence.mae_kw) : NOTHING)),
    line("Outcomes", ({ n }) => cell(count(n))),
  );
}

function head(scope, text) {
  const element = make("th", "", text);
  element.scope = scope;
  return element;
}

const cell = (text) => make("td", "", text);

function skillCell({ sufficient, skill: value }) {
  if (!sufficient || value === null) return cell(NOTHING);
  const [phrase, rating] = skill(value);
  const element = make("td", "phrase", phrase);
  element.dataset.is = rating;
  return element;
}

function isMissing(name, device) {
  return name === "refit" ? device.has_trees === false : name === "submetered" && device.submeters?.length === 0;
}

const memberName = (name, device) => (isMissing(name, device) ? MISSING_NAMES[name] : MEMBER_NAMES[name] ?? name);

function showEnsemble(device) {
  const forecast = device?.forecast ?? null;
  const weights = Object.entries(forecast?.experts ?? {}).sort((a, b) => b[1] - a[1]);
  const isSingle = forecast && !weights.length;
  const lacks = weights.some(([name]) => isMissing(name, device)) ? " Members marked “none” repeat the online model until there are trees or submeters." : "";
  write(
    byId("members-note"),
    isSingle
      ? `No ensemble: one model, ${forecast.model} ${forecast.model_version}.`
      : weights.length ? `Learned for each device. The 90 % interval uses the weights of the median.${lacks}` : "No forecast yet.",
  );
  byId("members").parentElement.hidden = !weights.length;
  byId("members").replaceChildren(...weights.map(([name, weight]) => bar(memberName(name, device), weight, forecast.median_experts?.[name] ?? 0)));
}

function bar(label, weight, medianWeight) {
  const share = make("span", "share");
  share.style.inlineSize = `${100 * weight}%`;
  const member = head("row", label);
  member.append(make("span", "track", share));
  return make("tr", "", member, weightCell(weight), weightCell(medianWeight));
}

function weightCell(weight) {
  const value = make("data", "", percent(weight));
  value.value = String(weight);
  return make("td", "", value);
}

function showWarmUp(device, scores, isScored) {
  const steps = [];
  if (device?.context) {
    const { n_observed: n, context } = device;
    steps.push(step("Model input", n, context, `${Math.min(n, context)} of ${context} minutes`));
  }
  const n = scores?.all_time?.n ?? 0;
  const isSufficient = n >= MIN_OUTCOMES;
  const text = isSufficient ? "sufficient data" : `in ${assessmentIn(n)}`;
  if (isScored) steps.push(step(isSufficient ? "Accuracy" : "First assessment", n, MIN_OUTCOMES, text));
  byId("warm").replaceChildren(...steps);
}

function step(name, value, most, text) {
  const meter = make("progress");
  meter.max = most;
  meter.value = Math.min(value, most);
  return make("label", "warm", make("span", "", name), make("span", "muted", text), meter);
}
