/** The chart's arithmetic: runs in, positions out. Members stand as a line; below it are bars, entered up and exited down. */

import { count } from "./numbers.js";

const NICE = [1, 2, 2.5, 5, 10];

/** The least round number that is not below a value. */
export function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(value));
  const factor = NICE.find((nice) => nice * magnitude >= value * (1 - 1e-9));
  return Math.max(1, factor * magnitude);
}

/** Round ticks from a low to a high value, both included in what they span. */
export function niceTicks(low, high, wanted = 4) {
  if (!(high > low)) return niceTicks(Math.max(0, low - 1), low + 1, 2);
  const step = niceStep((high - low) / wanted);
  const first = Math.floor(low / step) * step;
  const ticks = [];
  for (let tick = first; tick < high + step * (1 - 1e-9); tick += step) ticks.push(Math.round(tick));
  return [...new Set(ticks)];
}

function niceStep(value) {
  return Math.max(1, niceCeiling(value));
}

/** A function from a range of values to one of positions. */
export function linear([from, to], [start, end]) {
  const span = to - from || 1;
  return (value) => start + ((value - from) / span) * (end - start);
}

/** Of the runs, oldest first, those that a chart can show: a sync that knows its members and was not a dry run. */
export function shownRuns(runs, most = 100) {
  const known = runs.filter((run) => typeof run.members === "number" && !run.dry_run && run.at);
  return [...known].sort((a, b) => new Date(a.at) - new Date(b.at)).slice(-most);
}

/** Where everything of the chart stands in a box of this width. */
export function layOut(runs, width) {
  const shown = shownRuns(runs);
  const left = 64, right = 12, top = 12, lineHeight = 132, gap = 26, barsHeight = 88;
  const members = shown.map((run) => run.members);
  const ticks = niceTicks(Math.min(...members), Math.max(...members));
  const y = linear([ticks[0], ticks.at(-1)], [top + lineHeight, top]);
  const most = niceCeiling(Math.max(1, ...shown.flatMap((run) => [run.entered ?? 0, run.exited ?? 0])));
  const middle = top + lineHeight + gap + barsHeight / 2;
  const bar = linear([0, most], [0, barsHeight / 2]);
  const slot = (width - left - right) / Math.max(1, shown.length);
  const points = shown.map((run, index) => {
    const x = left + slot * (index + 0.5);
    return { run, x, y: y(run.members), up: bar(run.entered ?? 0), down: bar(run.exited ?? 0) };
  });
  return {
    points,
    left,
    right: width - right,
    middle,
    width,
    height: top + lineHeight + gap + barsHeight + 26,
    barWidth: Math.max(1.5, Math.min(22, slot * 0.62)),
    line: points.map((point, index) => `${index ? "L" : "M"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join(" "),
    memberTicks: ticks.map((tick) => ({ y: y(tick), label: count(tick) })),
    moveTicks: [
      { y: middle - barsHeight / 2, label: `+${count(most)}` },
      { y: middle, label: "0" },
      { y: middle + barsHeight / 2, label: `−${count(most)}` },
    ],
  };
}

/** The points whose day is written under the chart: the first, the last, and some between. */
export function dayMarks(points, width) {
  const most = Math.max(2, Math.floor(width / 110));
  if (points.length <= most) return points;
  const step = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => points[Math.round(index * step)]);
}

/** The chart in one sentence, for a screen reader. */
export function describe(runs) {
  const shown = shownRuns(runs);
  if (!shown.length) return "No sync with a known number of members yet.";
  const [first, last] = [shown[0].members, shown.at(-1).members];
  const members = shown.map((run) => run.members);
  return (
    `Members over ${shown.length} ${shown.length === 1 ? "sync" : "syncs"}: first ${count(first)}, last ${count(last)}, ` +
    `lowest ${count(Math.min(...members))}, highest ${count(Math.max(...members))}.`
  );
}
