// Reports that a script of the page did not arrive, as on a network that has just changed: without one of its modules
// nothing works, and none of them could report it.
addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const offerReload = () => {
      const banner = document.getElementById("incomplete");
      banner.hidden = false;
      banner.querySelector("button").onclick = () => location.reload(); // once, also if several scripts are missing
    };
    // theme.js is missing before the banner is there.
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", offerReload);
    else offerReload();
  },
  true, // such errors do not bubble
);
