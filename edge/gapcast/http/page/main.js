// Joins the parts: what the gateway tells goes to the house, and what changed there is drawn once a frame.

import { Refused } from "./ask.js";
import { Chart } from "./chart.js";
import { byId, onFrame } from "./dom.js";
import { listen } from "./events.js";
import { Line, showGateway, showModels } from "./gateway.js";
import { House } from "./house.js";
import { List } from "./list.js";
import { showNow } from "./now.js";
import { showTable } from "./table.js";
import { askForToken, offerToForget } from "./token.js";
import { showTrust } from "./trust.js";

const AGAIN_MS = 2_000;

const changed = new Set();
const drawSoon = onFrame(draw);
const house = new House((what) => {
  changed.add(what);
  drawSoon();
});
let isUsable = false;
const line = new Line();
const chart = new Chart(house.series);
const list = new List(house, (name) => {
  location.hash = `device=${encodeURIComponent(name)}`;
});

function draw() {
  const what = new Set(changed);
  changed.clear();
  line.show(house.health);
  if (house.loaded) {
    const isEmpty = house.devices.size === 0 && house.chosen === null;
    byId("empty").hidden = !isEmpty;
    byId("house").hidden = isEmpty;
  }
  if (what.has("health") || what.has("devices")) showGateway(house);
  if (!house.loaded || byId("house").hidden) return;
  list.draw();
  if (!what.has("chosen") && !what.has("devices")) return;
  showNow(house);
  if (!what.has("chosen")) return;
  showTrust(house);
  chart.draw(house.minutes, house.hasHistory);
  showTable(house.series);
  if (!isUsable && house.series.newest !== null && house.device?.forecast) {
    isUsable = true;
    performance.mark("gapcast-usable"); // for whoever measures
  }
}

function wanted() {
  const match = /^#device=(.+)$/.exec(location.hash);
  try {
    return match && decodeURIComponent(match[1]);
  } catch {
    return null; // an address that was cut
  }
}

function failed(error) {
  if (error instanceof Refused) return; // the events are refused too, and ask for the token
  setTimeout(() => house.reload(failed), AGAIN_MS);
}

async function run() {
  for (;;) {
    await new Promise((refused) => {
      listen({
        refused,
        event(kind, document) {
          if (kind === "reset") house.reload(failed);
          else house.take(kind, document);
        },
        open(isNew) {
          line.found();
          if (isNew) house.load(wanted()).catch(failed);
          offerToForget();
          drawSoon();
        },
        lost(why, answers) {
          line.lost(why, answers);
          if (answers) house.reload(failed);
          drawSoon();
        },
      });
    });
    line.locked();
    await askForToken();
  }
}

addEventListener("hashchange", () => {
  const name = wanted() ?? house.first();
  if (name === house.chosen) return;
  house.choose(name).catch(failed);
  byId("now").focus({ preventScroll: true });
});
byId("table-part").addEventListener("toggle", () => showTable(house.series));
byId("ranges").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  for (const other of byId("ranges").children) other.setAttribute("aria-pressed", other === button);
  house.look(Number(button.dataset.minutes)).catch(failed);
});
showModels();
run();
