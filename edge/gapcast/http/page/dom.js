// DOM helpers. External data becomes text, never markup.

export const byId = (id) => document.getElementById(id);

/** Return an element with its class, text or children. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** Set the text of `element` if it differs. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a number in a `data` element: `text` for the reader, `value` for programs. */
export function figure(element, value, text) {
  write(element, text);
  if (value === null || value === undefined) element.removeAttribute("value");
  else element.value = String(value);
}

/** Return a function that schedules `draw` for the next frame, once however often it is called. */
export function onFrame(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    const run = () => {
      if (!due) return;
      due = false;
      draw();
    };
    // A hidden tab has no frames: draw by a timer, so that it is up to date when it is shown.
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}
