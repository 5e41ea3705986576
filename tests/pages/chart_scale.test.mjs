import assert from "node:assert/strict";
import { test } from "node:test";

import { dayMarks, describe, layOut, niceCeiling, niceTicks, shownRuns } from "../../airflow_provider_amplitude_segment/ui/pages/chart_scale.js";

const run = (day, members, entered = 0, exited = 0, more = {}) => ({
  run_id: `r${day}`, at: new Date(Date.UTC(2026, 0, day)).toISOString(), members, entered, exited, dry_run: false, ...more,
});

test("a ceiling is round and never below", () => {
  for (const value of [1, 2, 3, 7, 11, 99, 100, 101, 2600, 1234567]) {
    assert.ok(niceCeiling(value) >= value);
    assert.ok(niceCeiling(value) <= value * 2.5);
  }
  assert.deepEqual([0, -1, 1, 100].map(niceCeiling), [1, 1, 1, 100]);
});

test("ticks are whole numbers that span every value, also where all are equal", () => {
  for (const [low, high] of [[0, 0], [5, 5], [12400, 12412], [0, 2000000], [3, 4]]) {
    const ticks = niceTicks(low, high);
    assert.ok(ticks[0] <= low && ticks.at(-1) >= high, `${low} ${high}: ${ticks}`);
    assert.ok(ticks.length >= 2 && ticks.length <= 7);
    assert.ok(ticks.every(Number.isInteger));
    assert.deepEqual(ticks, [...new Set(ticks)].sort((a, b) => a - b));
  }
});

test("the chart shows syncs that know their members, oldest first, and no dry run", () => {
  const runs = [run(3, 30), run(2, null), run(1, 10), run(4, 40, 0, 0, { dry_run: true }), run(5, 50, 0, 0, { at: null })];
  assert.deepEqual(shownRuns(runs).map(({ members }) => members), [10, 30]);
  assert.equal(shownRuns(Array.from({ length: 150 }, (_, day) => run(day + 1, day))).length, 100);
});

test("more members stand higher, entered above the middle and exited below, all inside the box", () => {
  const box = layOut([run(1, 100, 100, 0), run(2, 150, 60, 10), run(3, 90, 0, 60)], 600);
  const [first, second, third] = box.points;
  assert.ok(second.y < first.y && first.y < third.y);
  assert.ok(first.x < second.x && second.x < third.x);
  for (const { x, y, up, down } of box.points) {
    assert.ok(x > box.left && x < box.right && y > 0 && y < box.middle);
    assert.ok(up >= 0 && down >= 0 && box.middle - up > y && box.middle + down < box.height);
  }
  assert.equal(first.down, 0);
  assert.match(box.line, /^M[\d.]+ [\d.]+( L[\d.]+ [\d.]+){2}$/);
});

test("one sync, or counts that are missing, make a chart too", () => {
  for (const runs of [[run(1, 0)], [run(1, 5, null, undefined)]]) {
    const text = JSON.stringify(layOut(runs, 300));
    assert.doesNotMatch(text, /null,"up"|NaN|Infinity/);
  }
});

test("days are marked at both ends, and only as many as fit", () => {
  const { points } = layOut(Array.from({ length: 100 }, (_, day) => run(day + 1, day)), 800);
  const marks = dayMarks(points, 330);
  assert.equal(marks.length, 3);
  assert.equal(marks[0], points[0]);
  assert.equal(marks.at(-1), points.at(-1));
  assert.equal(dayMarks(points.slice(0, 1), 330).length, 1);
});

test("the chart is a sentence too", () => {
  assert.equal(describe([run(2, 1200), run(1, 900)]), "Members over 2 syncs: first 900, last 1,200, lowest 900, highest 1,200.");
  assert.match(describe([]), /No sync/);
});
