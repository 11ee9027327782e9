// The gateway itself: its broker, its models, whether readings are kept, and the line to it.

import { ask } from "./ask.js";
import { byId, make, write } from "./dom.js";
import { count, percent, second } from "./words.js";

const CHECKS = { "mqtt:connection": "Broker", "models:loaded": "Models", "state:kept": "Readings", "state:restored": "Stored state" };
const GOOD = { "mqtt:connection": "connected", "models:loaded": "loaded", "state:kept": "kept over a restart", "state:restored": "intact" };

let shown = null;

export function showGateway(house) {
  const { health } = house;
  const known = JSON.stringify([health, house.nDevices]);
  if (!health || known === shown) return;
  shown = known;
  const facts = [make("dt", "", "Version"), make("dd", "", health.version)];
  for (const [name, checks] of Object.entries(health.checks)) {
    for (const { status, output } of checks) {
      const value = make("dd", "state", status === "pass" ? (output ?? GOOD[name] ?? "well") : (output ?? "not well"));
      if (name !== "models:loaded") value.dataset.is = { pass: "good", warn: "wait", fail: "bad" }[status];
      facts.push(make("dt", "", CHECKS[name] ?? name), value);
    }
  }
  facts.push(make("dt", "", "Devices"), make("dd", "", count(house.nDevices)));
  byId("gateway").replaceChildren(...facts);
  const broker = health.checks["mqtt:connection"]?.[0];
  pill("broker-pill", broker?.status === "pass" ? "good" : "bad", broker?.status === "pass" ? "Broker connected" : "Broker away");
}

function pill(id, how, text) {
  const element = byId(id);
  if (element.dataset.is !== how || element.textContent !== text) {
    element.dataset.is = how;
    write(element, text);
  }
}

/** The line to the gateway, and what is wrong with it or with the broker, in words and aloud once. */
export class Line {
  constructor() {
    this.lostAt = null;
    this.isOpen = false;
    this.said = null;
    this.why = "";
    this.answers = false;
  }

  /** `answers`: the gateway is there, and only has no events for this page. */
  lost(why, answers) {
    this.lostAt ??= Date.now();
    this.why = why;
    this.answers = answers;
  }

  found() {
    this.lostAt = null;
    this.isOpen = true;
  }

  /** The gateway is there, but asks for its token first. */
  locked() {
    this.isOpen = false;
    pill("live-pill", "wait", "Token needed");
  }

  show(health) {
    const broker = health?.checks["mqtt:connection"]?.[0];
    let trouble = "";
    if (this.lostAt !== null && this.answers) {
      trouble = `Not live: ${this.why}. What is shown is asked for every few seconds.`;
    } else if (this.lostAt !== null) {
      trouble = `No connection to the gateway since ${second(this.lostAt)} (${this.why}); trying again. What is shown is of before.`;
    } else if (broker && broker.status !== "pass") {
      trouble = `The gateway has no broker: ${broker.output ?? "not connected"}. No readings come in until it is back.`;
    }
    if (this.lostAt !== null) pill("live-pill", "bad", "Not live");
    else if (this.isOpen) pill("live-pill", "good", "Live");
    document.body.classList.toggle("stale", this.lostAt !== null && !this.answers);
    write(byId("lost"), trouble);
    byId("lost").hidden = !trouble;
    const aloud = trouble || (this.said ? "All is well again." : "");
    if (aloud !== this.said) write(byId("said"), aloud);
    this.said = aloud;
  }
}

/** The models' cards are long; they are asked for when they are looked at. */
export function showModels() {
  byId("models").addEventListener("toggle", async () => {
    if (!byId("models").open) return;
    try {
      const { models } = await ask("models");
      byId("cards").replaceChildren(...models.map(card));
    } catch (error) {
      byId("cards").replaceChildren(make("p", "muted", `They cannot be told now: ${error.message || "no answer"}`));
    }
  });
}

function card(model) {
  const skill = model.scores?.skill;
  const parts = [`${count(model.parameters)} parameters, looks at ${model.context} minutes`];
  if (typeof skill === "number") parts.push(`${percent(skill)} better than no change on the minutes it was tested on`);
  return make("p", "", make("strong", "", `${model.name} ${model.version}`), make("br"), make("span", "muted", parts.join("; ")));
}
