// Where the gateway asks for a token: the form for it.

import { byId, write } from "./dom.js";
import { hasToken, setToken } from "./ask.js";

/** Ask for a token; resolves when one was given. */
export function askForToken() {
  const wasRefused = hasToken();
  byId("house").hidden = byId("empty").hidden = true;
  byId("token-form").hidden = false;
  write(byId("token-refused"), wasRefused ? "The gateway refuses this token." : "");
  byId("token").focus();
  return new Promise((given) => {
    byId("token-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        setToken(byId("token").value.trim(), byId("token-keep").checked);
        byId("token").value = "";
        byId("token-form").hidden = true;
        given();
      },
      { once: true },
    );
  });
}

export function offerToForget() {
  byId("forget-token").hidden = !hasToken();
  byId("forget-token").onclick = () => {
    setToken(null);
    location.reload();
  };
}
