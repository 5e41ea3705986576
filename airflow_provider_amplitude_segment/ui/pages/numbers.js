/** Numbers as they are read. */

const DIGITS = new Intl.NumberFormat("en-US");
export const UNKNOWN = "–";

/** A count with its thousands; a dash where it is not known. */
export function count(value) {
  return typeof value === "number" ? DIGITS.format(value) : UNKNOWN;
}

/** A count with its sign, such as `+12`; zero has none. */
export function signed(value, sign) {
  return typeof value === "number" && value !== 0 ? `${sign}${DIGITS.format(value)}` : count(value);
}

/** `1 user`, `2 users`. */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A share as a percentage: two digits that say something, and never `0 %` for what is not zero. */
export function percent(share) {
  if (typeof share !== "number") return UNKNOWN;
  const value = share * 100;
  if (value !== 0 && value < 0.01) return "< 0.01 %";
  return `${Number(value < 10 ? value.toPrecision(2) : value.toFixed(1))} %`;
}

/** Done of planned as a whole number from 0 to 100, and 100 only where all is done. */
export function progressPercent(done, planned) {
  if (!planned) return 0;
  return Math.max(0, Math.min(100, Math.floor((done / planned) * 100)));
}
