// Figures and times as a person reads them.

export const NOTHING = "–";
export const PERIODS = { last_day: "last day", last_week: "last week", ever: "ever" };
// Outcomes before a verdict; the gateway says `enough`, this is for how far it is.
export const ENOUGH = 720;

/** Power: two decimals, one from 10 kW on, three below a tenth. */
export function kw(value) {
  if (value === null || value === undefined) return NOTHING;
  const size = Math.abs(value);
  return value.toFixed(size >= 10 ? 1 : size < 0.1 && size > 0 ? 3 : 2);
}

export const kw3 = (value) => (value === null || value === undefined ? NOTHING : value.toFixed(3));
export const count = (n) => n.toLocaleString("en");
export const percent = (share) => `${Math.round(100 * share)} %`;

/** Skill as a phrase, and how it is: good, bad, or even. */
export function skill(value) {
  const whole = Math.round(100 * value);
  if (whole === 0) return ["as good as assuming no change", "even"];
  return whole > 0
    ? [`${whole} % better than assuming no change`, "good"]
    : [`${-whole} % worse than assuming no change`, "bad"];
}

/** One period's scores as a sentence, and how they are. */
export function verdict(scores, period) {
  if (!scores || !scores.enough) {
    const n = scores ? scores.n : 0;
    return [`${count(n)} of ${ENOUGH} outcomes so far: too few for a verdict`, "wait"];
  }
  if (scores.skill === null) return ["Nothing changed, so there is nothing to be better than", "even"];
  const [phrase, how] = skill(scores.skill);
  return [`${phrase[0].toUpperCase()}${phrase.slice(1)}, ${period === "ever" ? "of all time" : `over the ${PERIODS[period]}`}`, how];
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of a minute, in the browser's own zone. */
export const time = (at) => clock.format(new Date(at));
export const second = (at) => exact.format(new Date(at));

/** The same, with its day where that is not today, as in a replay. */
export function moment(at) {
  const date = new Date(at);
  return day.format(date) === day.format(new Date()) ? time(at) : `${time(at)}, ${day.format(date)}`;
}

/** How a device is, in a word, and which colour that has. */
export function state(device) {
  if (device.online === false) return ["offline", "bad"];
  if (!device.forecast) return ["waits for its second reading", "wait"];
  if (device.forecast.n_observed < device.forecast.context) return ["warming up", "wait"];
  return [device.online === null ? "there" : "online", "good"];
}
