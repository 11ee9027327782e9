"""Counts pixels of the chart, in the page."""

from __future__ import annotations

#: The number of pixels of the chart that have the colour ``name``.
N_PIXELS = """(name) => {
  const probe = document.querySelector('#chart').appendChild(document.createElement('i'));
  probe.style.color = `var(--${name})`;
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector('#chart canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    n += wanted.every((value, j) => Math.abs(data[i + j] - value) < 12) && data[i + 3] > 200;
  }
  return n;
}"""
