// Minutes as numbers.

export const MINUTE_MS = 60_000;

export const minuteOf = (label) => Math.round(Date.parse(label) / MINUTE_MS);
