/** The list: one entry for each stream, what its state is called, and which entries a filter leaves. */

/** What Airflow calls a task instance's state, in this page's words, with the colour that Airflow gives the state. */
const STATES = {
  success: ["Done", "success"],
  failed: ["Failed", "failed"],
  upstream_failed: ["Not run", "upstream_failed"],
  skipped: ["Nothing new", "skipped"],
  running: ["Running", "running"],
  restarting: ["Running", "running"],
  deferred: ["Waiting", "deferred"],
  up_for_retry: ["Waits to retry", "up_for_retry"],
  up_for_reschedule: ["Waiting", "up_for_reschedule"],
  awaiting_input: ["Waiting", "deferred"],
  queued: ["Queued", "queued"],
  scheduled: ["Queued", "scheduled"],
  removed: ["Removed", "removed"],
};

const AT_WORK = new Set(["running", "restarting", "deferred", "queued", "scheduled", "up_for_reschedule", "up_for_retry"]);

/** A question that is open: Airflow 3.1 and 3.2 have no state for it, and it can be seen by those who may read it. */
const ASKS = ["Needs a decision", "orange"];

/** A state's name and colour, where a question may be open. A state that is not known is shown as it is. */
export function stateOf(state, asks = false) {
  const [label, color] = asks ? ASKS : (STATES[state] ?? [state || "Unknown", "gray"]);
  return { label, color };
}

function labelOf(stream) {
  return stateOf(stream.state, stream.question_open).label;
}

/** Whether a task instance may still change by itself. */
export function isAtWork(state) {
  return AT_WORK.has(state);
}

/** What identifies a stream, for addresses and for React. */
export function streamKey(stream) {
  return [stream.dag_id, stream.task_id, stream.map_index ?? -1, stream.cohort_id ?? "", stream.destination ?? ""].map(encodeURIComponent).join("/");
}

/** A cohort's name, or its ID where Amplitude's list gave none; before a first report, neither may be known. */
export function cohortLabel(stream) {
  return stream.cohort_name || stream.cohort_id || "Cohort not known yet";
}

/** Whether a report says where the stream leads; before that, there are no counts and no history. */
export function hasReport(stream) {
  return Boolean(stream.destination);
}

function isMatch(stream, words) {
  const text = [stream.cohort_name, stream.cohort_id, stream.segment_conn_id, stream.dag_id, stream.task_id].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** The streams whose names have every word, and whose state has this label ("" for all). */
export function filterStreams(streams, text, label) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return streams.filter((stream) => (!label || labelOf(stream) === label) && isMatch(stream, words));
}

/** Each label that the streams have, with how many have it, in the order of what needs a person first. */
export function stateCounts(streams) {
  const order = ["Needs a decision", "Failed", "Waits to retry", "Running", "Waiting", "Queued", "Done", "Nothing new"];
  const counts = new Map();
  for (const stream of streams) {
    const label = labelOf(stream);
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const rank = (label) => (order.includes(label) ? order.indexOf(label) : order.length);
  return [...counts].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

/** The list's first line, such as `3 streams: 1 failed, 2 done`; where a filter hides some, how many are shown. */
export function summary(streams, shown) {
  const total = streams.length;
  const noun = total === 1 ? "stream" : "streams";
  const counts = stateCounts(shown).map(([label, number]) => `${number} ${label.toLowerCase()}`).join(", ");
  const begin = shown.length === total ? `${total} ${noun}` : `${shown.length} of ${total} ${noun}`;
  return counts ? `${begin}: ${counts}` : begin;
}

/** The streams that are shown first: by cohort, then by destination. */
export function sortStreams(streams) {
  const compare = (a, b) => a.localeCompare(b, "en", { sensitivity: "base", numeric: true });
  return [...streams].sort(
    (a, b) =>
      compare(cohortLabel(a), cohortLabel(b)) ||
      compare(a.segment_conn_id ?? "", b.segment_conn_id ?? "") ||
      compare(streamKey(a), streamKey(b)),
  );
}
