/** The chart of one stream: members as a line, and under it a bar for each sync, entered up and exited down. */

import { dayMarks, describe, layOut, shownRuns } from "./chart_scale.js";
import { h } from "./elements.js";
import { count } from "./numbers.js";
import { formatDay, formatTime } from "./times.js";

const { useEffect, useRef, useState } = globalThis.React;

const MEMBERS = "var(--chakra-colors-fg, #27272a)";
const ENTERED = "var(--chakra-colors-blue-solid, #2563eb)";
const EXITED = "var(--chakra-colors-orange-solid, #ea580c)";
const GRID = "var(--chakra-colors-border, #d4d4d8)";

function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const measure = () => box.current && setWidth(Math.max(240, Math.floor(box.current.clientWidth)));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

function Key({ color, children }) {
  return h("span", { className: "acs-key" }, h("i", { style: { background: color } }), children);
}

function Grid({ box }) {
  const lines = [...box.memberTicks, ...box.moveTicks];
  return lines.map(({ y, label }, index) =>
    h(
      "g",
      { key: index },
      h("line", { x1: box.left, x2: box.right, y1: y, y2: y, stroke: GRID, strokeWidth: 1 }),
      h("text", { x: box.left - 8, y: y + 4, textAnchor: "end" }, label),
    ),
  );
}

function Run({ point, box, zone }) {
  const { run, x, y, up, down } = point;
  const said = `${formatTime(run.at, zone)}: ${count(run.members)} members, ${count(run.entered)} entered, ${count(run.exited)} exited`;
  const bar = (top, height, fill) => height > 0 && h("rect", { x: x - box.barWidth / 2, y: top, width: box.barWidth, height: Math.max(1, height), fill });
  return h(
    "g",
    null,
    h("title", null, said),
    h("rect", { x: x - box.barWidth / 2 - 1, y: 0, width: box.barWidth + 2, height: box.height, fill: "transparent" }),
    bar(box.middle - up, up, ENTERED),
    bar(box.middle, down, EXITED),
    h("circle", { cx: x, cy: y, r: box.points.length > 40 ? 1.8 : 3, fill: MEMBERS }),
  );
}

/** Draw the runs of one stream. */
export function Chart({ runs, zone }) {
  const [container, width] = useWidth();
  const isEmpty = !shownRuns(runs).length;
  const box = isEmpty ? null : layOut(runs, width);
  return h(
    "div",
    { ref: container },
    isEmpty
      ? h("p", { className: "acs-quiet" }, "The chart begins with the first sync that read its cohort.")
      : h(
          "figure",
          { style: { margin: 0 } },
          h(
            "figcaption",
            null,
            h(Key, { color: MEMBERS }, "Members"),
            h(Key, { color: ENTERED }, "Entered"),
            h(Key, { color: EXITED }, "Exited"),
          ),
          h(
            "svg",
            { className: "acs-chart", role: "img", "aria-label": describe(runs), viewBox: `0 0 ${box.width} ${box.height}`, height: box.height },
            h(Grid, { box }),
            h("path", { d: box.line, fill: "none", stroke: MEMBERS, strokeWidth: 1.5 }),
            box.points.map((point) => h(Run, { key: `${point.run.run_id} ${point.run.try_number} ${point.run.task_id}`, point, box, zone })),
            dayMarks(box.points, width).map(({ run, x }, index, { length }) =>
              h("text", { key: index, x, y: box.height - 6, textAnchor: index === 0 ? "start" : index === length - 1 ? "end" : "middle" }, formatDay(run.at, zone)),
            ),
          ),
        ),
  );
}
