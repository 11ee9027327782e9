// The form for the token, where the gateway requires one.

import { byId, write } from "./dom.js";
import { hasToken, setToken } from "./api.js";

/** Show the form; resolves when it is submitted. */
export function requestToken() {
  const wasRejected = hasToken();
  byId("dashboard").hidden = byId("empty").hidden = true;
  byId("token-form").hidden = false;
  write(byId("token-error"), wasRejected ? "The gateway rejected this token." : "");
  byId("token").focus();
  return new Promise((resolve) => {
    byId("token-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        setToken(byId("token").value.trim(), byId("token-remember").checked);
        byId("token").value = "";
        byId("token-form").hidden = true;
        resolve();
      },
      { once: true },
    );
  });
}

export function showForgetToken() {
  byId("forget-token").hidden = !hasToken();
  byId("forget-token").onclick = () => {
    setToken(null);
    location.reload();
  };
}
