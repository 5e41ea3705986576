/** The runs of one stream, which are asked for when a reader opens it: as a chart, and as a table with links. */

import { Chart } from "./chart.js";
import { Badge, Link, Loading, Mark, Problem, Table, Time, h, useJson, useZone } from "./elements.js";
import { isMapped, requiredActionsPath, route, taskInstancePath } from "./links.js";
import { count, signed } from "./numbers.js";

const MODES = { incremental: "changes", full: "full", retire: "retirement" };
const { Fragment } = globalThis.React;

function Note({ run }) {
  return h(
    Fragment,
    null,
    run.dry_run && h(Mark, { color: "purple" }, "Dry run"),
    run.approved_by && h("div", null, `Approved by ${run.approved_by}`),
    run.question_open && h(Link, { to: requiredActionsPath(run) }, "Decide"),
    run.error && h("div", null, run.error),
  );
}

const COLUMNS = [
  {
    label: "Run",
    wide: true,
    render: (run) =>
      h(
        Fragment,
        null,
        h(Link, { to: taskInstancePath(run) }, run.run_id),
        h("div", { className: "acs-quiet" }, isMapped(run.map_index) ? `${run.dag_id}, ${run.task_id} [${run.map_index}]` : `${run.dag_id}, ${run.task_id}`),
      ),
  },
  { label: "Time", render: (run) => h(Time, { at: run.at, compact: true }) },
  { label: "State", render: (run) => h(Badge, { state: run.state, asks: run.question_open }) },
  { label: "Mode", render: (run) => MODES[run.mode] ?? run.mode ?? "–" },
  { label: "Members", number: true, render: (run) => count(run.members) },
  { label: "Entered", number: true, render: (run) => signed(run.entered, "+") },
  { label: "Exited", number: true, render: (run) => signed(run.exited, "−") },
  { label: "Rejected", number: true, render: (run) => count(run.rejected) },
  { label: "Pending", number: true, render: (run) => count(run.pending) },
  { label: "Note", wide: true, render: (run) => h(Note, { run }) },
];

/** Show the newest runs of a stream. */
export function History({ stream, name, id }) {
  const zone = useZone();
  const { dag_id, task_id, map_index, cohort_id, destination } = stream;
  const { data, error, loading, reload } = useJson(route(import.meta.url, "history", { dag_id, task_id, map_index, cohort_id, destination, limit: 100 }));
  const runs = data?.runs ?? [];
  return h(
    "div",
    { id, role: "region", "aria-label": `Syncs of ${name}`, "aria-busy": loading },
    h("h3", null, `Syncs of ${name} to ${stream.segment_conn_id}`),
    error && h(Problem, { message: error, retry: reload }),
    !data && loading && h(Loading, { what: "the syncs" }),
    data && h(Chart, { runs, zone }),
    data &&
      h(Table, {
        caption: `Syncs of ${name}, newest first`,
        columns: COLUMNS,
        rows: runs,
        keyOf: (run) => [run.dag_id, run.run_id, run.task_id, run.map_index, run.try_number].join(" "),
      }),
  );
}
