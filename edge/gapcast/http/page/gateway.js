// Shows the gateway: its broker, its models, its health checks, and the connection of the page to it.

import { getJson } from "./api.js";
import { byId, make, write } from "./dom.js";
import { count, duration, moment, second, skill } from "./format.js";

// Health checks of /readyz: label, and the text when the check passes.
const CHECKS = {
  "mqtt:connection": ["MQTT broker", "Connected"],
  "models:loaded": ["Models", "Loaded"],
  "state:kept": ["State storage", "Working"],
  "state:restored": ["Saved state at start", "Undamaged"],
};

let shown = null;

/** Load the health, which otherwise comes with the events. */
export async function loadHealth(store) {
  const before = store.health;
  const health = await getJson("readyz");
  if (store.health !== before) return; // an event has arrived, which is newer
  store.applyEvent("status", { refit: before?.refit, ...health }); // the refit is in events only
}

export function showGateway(store) {
  const { health } = store;
  if (!health) return;
  const refit = refitFacts(health.refit);
  const known = JSON.stringify([health, store.nDevices, refit]);
  if (known === shown) return;
  shown = known;
  const facts = [make("dt", "", "Version"), make("dd", "", health.version)];
  for (const [name, checks] of Object.entries(health.checks)) {
    const [label, passed] = CHECKS[name] ?? [name, "OK"];
    for (const { status, output } of checks) {
      const text = output ?? (status === "pass" ? passed : "Failed");
      const value = name === "models:loaded" ? make("dd", "", ...unbroken(text)) : make("dd", "state", text);
      if (name !== "models:loaded") value.dataset.is = { pass: "good", warn: "wait", fail: "bad" }[status];
      facts.push(make("dt", "", label), value);
    }
  }
  for (const [label, text] of refit) facts.push(make("dt", "", label), make("dd", "", ...unbroken(text)));
  facts.push(make("dt", "", "Devices"), make("dd", "", count(store.nDevices)));
  byId("gateway").replaceChildren(...facts);
}

/** The nightly refit as pairs of label and text: when it last ran, for how long, and what its trees are worth. */
function refitFacts(refit) {
  if (!refit) return [];
  const { last_ran_at: at, took_s: took, n_devices: n, mse_skill: mse, mae_skill: mae } = refit;
  const facts = [["Nightly refit", at ? `Last ran ${moment(at)}, took ${tookText(took)}` : "Not run since the start"]];
  if (n) facts.push(["Trees in use", `${count(n)} device${n === 1 ? "" : "s"}`]);
  if (mse !== undefined) facts.push(["Trees vs. persistence", `${skill(mse)[0]} (MSE), ${skill(mae)[0]} (MAE)`]);
  return facts;
}

const tookText = (seconds) => (seconds < 120 ? `${Math.max(1, Math.round(seconds))}\u00a0s` : duration(Math.round(seconds / 60)));

// Parts of a list, which are not broken at the end of a line: names with hyphens, and dates.
function unbroken(list) {
  const parts = list.split(", ");
  return parts.flatMap((part, i) => (i + 1 < parts.length ? [make("span", "unbroken", `${part},`), " "] : make("span", "unbroken", part)));
}

function pill(id, rating, text) {
  const element = byId(id);
  if (element.dataset.is !== rating || element.textContent !== text) {
    element.dataset.is = rating;
    write(element, text);
  }
}

/** The connections to the gateway and to its broker. A screen reader announces each change once. */
export class ConnectionStatus {
  constructor() {
    this.lostAt = null;
    this.isOpen = false;
    this.announced = null;
    this.reason = "";
    this.isReachable = false;
  }

  /** `isReachable`: the gateway answers, but does not serve the event stream. */
  setLost(reason, isReachable) {
    this.lostAt ??= Date.now();
    this.reason = reason;
    this.isReachable = isReachable;
  }

  setOpen() {
    this.lostAt = null;
    this.isOpen = true;
  }

  /** The gateway answers, but requires a token. */
  setLocked() {
    this.lostAt = null;
    this.isOpen = false;
    pill("live-pill", "wait", "Token required");
  }

  show(health) {
    const broker = health?.checks["mqtt:connection"]?.[0];
    const isLost = this.lostAt !== null && !this.isReachable;
    const problems = [];
    if (isLost) {
      problems.push(`No connection to the gateway since ${moment(this.lostAt, second)} (${this.reason}). Retrying. The values below may be out of date.`);
    } else if (this.lostAt !== null) {
      problems.push(`No live updates: ${this.reason}. The page refreshes every few seconds instead.`);
    }
    if (!isLost && broker && broker.status !== "pass") {
      problems.push(`${broker.output ?? "No connection to the MQTT broker"}. No new readings until the connection is restored.`);
    }
    const problem = problems.join(" ");
    if (isLost) pill("broker-pill", "wait", "Broker unknown");
    else if (broker?.status === "pass") pill("broker-pill", "good", "Broker connected");
    else if (health) pill("broker-pill", "bad", "Broker disconnected");
    if (this.lostAt !== null) pill("live-pill", "bad", "Not live");
    else if (this.isOpen) pill("live-pill", "good", "Live");
    document.body.classList.toggle("stale", isLost);
    write(byId("problem"), problem);
    byId("problem").hidden = !problem;
    // Without the reason, which differs between the loss and each retry.
    const news = isLost ? `No connection to the gateway since ${second(this.lostAt)}.` : problem;
    const announcement = news || (this.announced ? "Connection restored." : "");
    if (announcement !== this.announced) write(byId("announcement"), announcement);
    this.announced = announcement;
  }
}

/** Load the model cards, which are long, only when they are opened. */
export function showModels() {
  byId("models").addEventListener("toggle", async () => {
    if (!byId("models").open) return;
    try {
      const { models } = await getJson("models");
      byId("cards").replaceChildren(...models.map(card));
    } catch (error) {
      byId("cards").replaceChildren(make("p", "muted", `Cannot load the model details: ${error.message || "no response"}`));
    }
  });
}

function card(model) {
  const value = model.scores?.skill;
  const parts = [`${count(model.parameters)} parameters`, `input: ${model.context} minutes`];
  if (typeof value === "number") {
    const [phrase, rating] = skill(value);
    parts.push(rating === "even" ? "equal to persistence on test data" : `${phrase} than persistence on test data`);
  }
  return make("p", "", make("strong", "", `${model.name} ${model.version}`), make("br"), make("span", "muted", parts.join("; ")));
}
