// Small hands. What comes from outside becomes text, never markup.

export const byId = (id) => document.getElementById(id);

/** Return an element with its class, text or children. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** Write `text` where it is not there yet. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a figure in a `data` element: `text` to read, `value` for programs. */
export function figure(element, value, text) {
  write(element, text);
  if (value === null || value === undefined) element.removeAttribute("value");
  else element.value = String(value);
}

/** Return a function that lets `draw` run once before the next frame, however often it is called. */
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
    // A tab that is hidden has no frames: what is drawn there is ready when it is looked at.
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}
