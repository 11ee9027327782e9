// Connects the parts: events of the gateway update the store, and what changed is drawn once per frame.

import { Unauthorized } from "./api.js";
import { Chart } from "./chart.js";
import { DemandPanel } from "./demand-panel.js";
import { byId, onFrame, write } from "./dom.js";
import { listen } from "./events.js";
import { isSilent } from "./format.js";
import { ConnectionStatus, loadHealth, showGateway, showModels } from "./gateway.js";
import { Intake } from "./intake.js";
import { DeviceList } from "./list.js";
import { showNow } from "./now.js";
import { Store } from "./store.js";
import { showOutlookTable, showTable } from "./table.js";
import { requestToken, showForgetToken } from "./token.js";
import { showAccuracy } from "./accuracy.js";

const RETRY_MS = 2_000;
// Times of yesterday have a date, also if nothing has arrived since.
const REFRESH_MS = 60_000;

const changed = new Set();
const drawSoon = onFrame(draw);
const store = new Store((what) => {
  changed.add(what);
  drawSoon();
}, reloadAfterError, deviceInUrl, showRemoval);
let isUsable = false;
const connection = new ConnectionStatus();
const intake = new Intake();
const chart = new Chart(store.series);
const demand = new DemandPanel();
const list = new DeviceList(store, (name) => {
  location.hash = hashOf(name);
  showDeviceInUrl(); // also if the address is the same: the device was deleted, and has returned
});

function draw() {
  if (!byId("token-form").hidden) return; // until there is a token, which draws all
  const what = new Set(changed);
  changed.clear();
  connection.show(store.health);
  if (store.isLoaded) {
    const isEmpty = store.devices.size === 0 && store.selected === null;
    byId("empty").hidden = !isEmpty;
    intake.show(isEmpty);
    byId("dashboard").hidden = isEmpty;
  }
  if (what.has("health") || what.has("devices")) showGateway(store);
  if (!store.isLoaded || byId("dashboard").hidden) return;
  list.draw();
  if (!what.has("selected") && !what.has("devices")) return;
  showNow(store);
  if (!what.has("selected")) return;
  demand.draw(store);
  showAccuracy(store);
  chart.draw(store.minutes, store.missingHistory, store.device !== null && isSilent(store.device));
  showTable(store);
  showOutlookTable(store);
  if (!isUsable && store.series.newest !== null && store.device?.forecast) {
    isUsable = true;
    performance.mark("gapcast-usable"); // for measurements of the load time
  }
}

const hashOf = (name) => `#device=${encodeURIComponent(name)}`;

function deviceInUrl() {
  const match = /^#device=(.+)$/.exec(location.hash);
  try {
    return match && decodeURIComponent(match[1]);
  } catch {
    return null; // a truncated URL
  }
}

function showDeviceInUrl() {
  const name = deviceInUrl() ?? store.first();
  if (name === store.selected) return;
  store.select(name).catch(reloadAfterError);
  const { top, bottom } = byId("now").getBoundingClientRect();
  const isInSight = bottom > 0 && top < innerHeight;
  if (isInSight && document.activeElement === byId("list")) {
    write(byId("announcement"), `${name} is shown.`); // the arrow keys go on to other devices
    return;
  }
  byId("now").focus({ preventScroll: true }); // which announces the device
  if (!isInSight) byId("now").scrollIntoView(); // on a phone the list is far below
}

/** The device `name` was deleted, and another one is shown: write that into the address, so that it does not name the deleted one. */
function showRemoval(name) {
  const { selected } = store;
  if (deviceInUrl() === name) {
    history.replaceState(null, "", selected === null ? location.pathname + location.search : hashOf(selected));
  }
  write(byId("announcement"), `${name} was deleted.${selected === null ? "" : ` ${selected} is shown now.`}`);
}

function reloadAfterError(error) {
  if (error instanceof Unauthorized) return; // the event stream fails too, and requests the token
  setTimeout(() => store.reload(), RETRY_MS);
}

async function run() {
  for (;;) {
    await new Promise((unauthorized) => {
      listen({
        unauthorized,
        event(kind, document) {
          if (kind === "reset") store.reload();
          else store.applyEvent(kind, document);
        },
        open(isNew) {
          connection.setOpen();
          if (isNew) store.load().catch(reloadAfterError);
          showForgetToken();
          drawSoon();
        },
        lost(reason, isReachable) {
          connection.setLost(reason, isReachable);
          if (isReachable) {
            store.reload();
            loadHealth(store).catch(() => {}); // the next attempt to connect loads it again
          }
          drawSoon();
        },
      });
    });
    connection.setLocked();
    connection.show(store.health); // not drawSoon: the dashboard stays hidden
    await requestToken();
  }
}

addEventListener("hashchange", showDeviceInUrl);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the device
  byId("now").focus();
});
byId("table-part").addEventListener("toggle", () => showTable(store));
byId("outlook-part").addEventListener("toggle", () => showOutlookTable(store));
byId("ranges").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  for (const other of byId("ranges").children) other.setAttribute("aria-pressed", other === button);
  store.setRange(Number(button.dataset.minutes)).catch(reloadAfterError);
});
setInterval(() => {
  changed.add("selected");
  drawSoon();
}, REFRESH_MS);
showModels();
run();
