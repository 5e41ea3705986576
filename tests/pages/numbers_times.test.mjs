import assert from "node:assert/strict";
import { test } from "node:test";

import { count, counted, percent, progressPercent, signed } from "../../airflow_provider_amplitude_segment/ui/pages/numbers.js";
import { chosenTimeZone, duration, formatDay, formatTime, relativeTime } from "../../airflow_provider_amplitude_segment/ui/pages/times.js";

const NOW = Date.parse("2026-11-27T12:00:00Z");
const storage = (kept) => ({ getItem: () => kept });

test("a count has thousands, and what is not known is a dash and not a zero", () => {
  assert.equal(count(1234567), "1,234,567");
  assert.equal(count(0), "0");
  assert.equal(count(null), "–");
  assert.equal(count(undefined), "–");
});

test("a move has its sign, and zero has none", () => {
  assert.equal(signed(1200, "+"), "+1,200");
  assert.equal(signed(0, "−"), "0");
  assert.equal(signed(null, "+"), "–");
});

test("a noun follows its number", () => {
  assert.equal(counted(1, "user"), "1 user");
  assert.equal(counted(0, "user"), "0 users");
  assert.equal(counted(2, "mismatch", "mismatches"), "2 mismatches");
});

test("a small share is never shown as none", () => {
  assert.equal(percent(0), "0 %");
  assert.equal(percent(0.000001), "< 0.01 %");
  assert.equal(percent(0.00372), "0.37 %");
  assert.equal(percent(0.256), "25.6 %");
  assert.equal(percent(1), "100 %");
  assert.equal(percent(null), "–");
});

test("a bar is full only where all is done", () => {
  assert.equal(progressPercent(9999, 10000), 99);
  assert.equal(progressPercent(10000, 10000), 100);
  assert.equal(progressPercent(12000, 10000), 100);
  assert.equal(progressPercent(5, 0), 0);
});

test("a time is written as Airflow writes it, in the zone that is chosen", () => {
  assert.equal(formatTime("2026-11-27T23:30:05+00:00", "UTC"), "2026-11-27 23:30:05");
  assert.equal(formatTime("2026-11-27T23:30:05Z", "Asia/Tokyo"), "2026-11-28 08:30:05");
  assert.equal(formatTime("2026-11-27T00:00:00Z", "UTC"), "2026-11-27 00:00:00");
  assert.equal(formatTime(null, "UTC"), "–");
  assert.equal(formatTime("soon", "UTC"), "–");
});

test("summer time is that of the day", () => {
  assert.equal(formatTime("2026-07-01T10:00:00Z", "Europe/Berlin"), "2026-07-01 12:00:00");
  assert.equal(formatTime("2026-12-01T10:00:00Z", "Europe/Berlin"), "2026-12-01 11:00:00");
  assert.equal(formatDay("2026-07-01T23:00:00Z", "Europe/Berlin"), "2 Jul");
});

test("the chosen zone is read as Airflow keeps it, and a wrong one is the browser's", () => {
  const browsers = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  assert.equal(chosenTimeZone(storage('"Asia/Tokyo"')), "Asia/Tokyo");
  assert.equal(chosenTimeZone(storage("Asia/Tokyo")), "Asia/Tokyo");
  assert.equal(chosenTimeZone(storage(null)), browsers);
  assert.equal(chosenTimeZone(storage('"Mars/Olympus"')), browsers);
  assert.equal(chosenTimeZone(storage('"broken')), browsers);
  assert.equal(chosenTimeZone(undefined), browsers);
});

test("a relative time has the greatest unit that fits, before and after now", () => {
  assert.equal(relativeTime("2026-11-27T11:59:40Z", NOW), "just now");
  assert.equal(relativeTime("2026-11-27T12:00:20Z", NOW), "in a moment");
  assert.equal(relativeTime("2026-11-27T11:59:00Z", NOW), "1 minute ago");
  assert.equal(relativeTime("2026-11-27T09:00:00Z", NOW), "3 hours ago");
  assert.equal(relativeTime("2026-11-29T13:00:00Z", NOW), "in 2 days");
  assert.equal(relativeTime(null, NOW), "");
});

test("a duration has at most two units", () => {
  assert.equal(duration(28), "28 s");
  assert.equal(duration(200), "3 min 20 s");
  assert.equal(duration(180), "3 min");
  assert.equal(duration(7500), "2 h 5 min");
  assert.equal(duration(7200), "2 h");
  assert.equal(duration(null), "–");
});
