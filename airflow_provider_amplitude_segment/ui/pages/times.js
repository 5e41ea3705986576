/** Times in the time zone that the user has chosen in Airflow. */

import { UNKNOWN } from "./numbers.js";

/** Where Airflow's own pages keep the choice, as JSON, and the event by which they announce another one. */
export const TIME_ZONE_KEY = "timezone";
export const TIME_ZONE_EVENT = "local-storage";

const STEPS = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

function isTimeZone(name) {
  try {
    return Boolean(new Intl.DateTimeFormat("en-US", { timeZone: name }));
  } catch {
    return false;
  }
}

/** The chosen time zone; without a choice the browser's, as Airflow does. */
export function chosenTimeZone(storage) {
  const browsers = new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  try {
    const kept = storage.getItem(TIME_ZONE_KEY);
    const name = kept && kept.startsWith('"') ? JSON.parse(kept) : kept;
    return name && isTimeZone(name) ? name : browsers;
  } catch {
    return browsers;
  }
}

function parts(date, timeZone, options) {
  const format = new Intl.DateTimeFormat("en-US", { timeZone, hourCycle: "h23", ...options });
  return Object.fromEntries(format.formatToParts(date).map(({ type, value }) => [type, value]));
}

function parse(iso) {
  const date = new Date(iso ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** `2026-11-27 05:31:04`, as Airflow writes it; a dash for no time. */
export function formatTime(iso, timeZone) {
  const date = parse(iso);
  if (!date) return UNKNOWN;
  const two = "2-digit";
  const p = parts(date, timeZone, { year: "numeric", month: two, day: two, hour: two, minute: two, second: two });
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}

/** `27 Nov`, for an axis. */
export function formatDay(iso, timeZone) {
  const date = parse(iso);
  if (!date) return "";
  const p = parts(date, timeZone, { month: "short", day: "numeric" });
  return `${p.day} ${p.month}`;
}

/** `3 hours ago`, `in 2 days`, `just now`. */
export function relativeTime(iso, now) {
  const date = parse(iso);
  if (!date) return "";
  const seconds = (date.getTime() - now) / 1000;
  const [unit, length] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? ["now", 0];
  if (unit === "now") return seconds > 0 ? "in a moment" : "just now";
  const value = Math.floor(Math.abs(seconds) / length);
  const words = `${value} ${unit}${value === 1 ? "" : "s"}`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

/** `28 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds) {
  if (typeof seconds !== "number") return UNKNOWN;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 60)} h`;
}
