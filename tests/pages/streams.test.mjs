import assert from "node:assert/strict";
import { test } from "node:test";

import { cohortLabel, filterStreams, hasReport, isAtWork, sortStreams, stateCounts, stateOf, streamKey, summary } from "../../airflow_provider_amplitude_segment/ui/pages/streams.js";

const stream = (name, state = "success", more = {}) => ({
  dag_id: "daily", task_id: "sync", map_index: -1, cohort_id: name.toLowerCase(), cohort_name: name,
  segment_conn_id: "segment_default", destination: "dst-1", state, ...more,
});
const STREAMS = [stream("Power Users", "failed"), stream("At risk", "deferred", { segment_conn_id: "segment_emea", question_open: true }), stream("Newcomers")];
const names = (streams) => streams.map((each) => each.cohort_name);

test("each word must be in one of the names, in any case", () => {
  assert.deepEqual(names(filterStreams(STREAMS, "POWER", "")), ["Power Users"]);
  assert.deepEqual(names(filterStreams(STREAMS, "  emea risk ", "")), ["At risk"]);
  assert.deepEqual(names(filterStreams(STREAMS, "daily", "")), names(STREAMS));
  assert.deepEqual(filterStreams(STREAMS, "emea power", ""), []);
});

test("text is no pattern, and a name that is missing hides nothing", () => {
  assert.deepEqual(filterStreams(STREAMS, ".*", ""), []);
  assert.equal(filterStreams([stream("x", "success", { cohort_name: null })], "x", "").length, 1);
});

test("states that have one label are filtered as one", () => {
  const streams = [stream("a", "running"), stream("b", "restarting"), stream("c", "failed")];
  assert.deepEqual(names(filterStreams(streams, "", "Running")), ["a", "b"]);
  assert.deepEqual(stateCounts(streams), [["Failed", 1], ["Running", 2]]);
});

test("what needs a person is counted first", () => {
  assert.deepEqual(stateCounts(STREAMS), [["Needs a decision", 1], ["Failed", 1], ["Done", 1]]);
});

test("a question that is open is a decision in every state that Airflow has for it, and no other wait is", () => {
  const streams = [stream("a", "deferred", { question_open: true }), stream("b", "awaiting_input", { question_open: true }), stream("c", "deferred"), stream("d", "awaiting_input", { question_open: false })];
  assert.deepEqual(names(filterStreams(streams, "", "Needs a decision")), ["a", "b"]);
  assert.deepEqual(stateCounts(streams), [["Needs a decision", 2], ["Waiting", 2]]);
});

test("a sync that has not reported has a name, a key and no history, and a filter finds its task", () => {
  const first = { ...stream("x", "failed"), cohort_id: null, cohort_name: null, segment_conn_id: null, destination: null };
  assert.deepEqual([cohortLabel(first), hasReport(first), hasReport(stream("x"))], ["Cohort not known yet", false, true]);
  assert.notEqual(streamKey(first), streamKey({ ...first, cohort_id: "null", destination: "null" }));
  assert.notEqual(streamKey(first), streamKey({ ...first, map_index: 3 }));
  assert.equal(filterStreams([first], "daily sync", "Failed").length, 1);
  assert.deepEqual(sortStreams([stream("Zebra"), first]).map(cohortLabel), ["Cohort not known yet", "Zebra"]);
});

test("a state of a later Airflow is shown as it is", () => {
  assert.deepEqual(stateOf("levitating"), { label: "levitating", color: "gray" });
  assert.equal(stateOf(null).label, "Unknown");
});

test("a task that ended or asks does not change by itself", () => {
  assert.deepEqual(["success", "failed", "skipped", "awaiting_input", null].map(isAtWork), [false, false, false, false, false]);
  assert.deepEqual(["running", "deferred", "queued", "up_for_retry"].map(isAtWork), [true, true, true, true]);
});

test("the summary counts what is shown of all", () => {
  assert.equal(summary(STREAMS, STREAMS), "3 streams: 1 needs a decision, 1 failed, 1 done");
  assert.equal(summary(STREAMS, [STREAMS[2]]), "1 of 3 streams: 1 done");
  assert.equal(summary(STREAMS, []), "0 of 3 streams");
  assert.equal(summary([STREAMS[0]], [STREAMS[0]]), "1 stream: 1 failed");
});

test("streams are in the order of their cohorts, and numbers in names count", () => {
  assert.deepEqual(names(sortStreams([stream("Cohort 10"), stream("cohort 9"), stream("Alpha")])), ["Alpha", "cohort 9", "Cohort 10"]);
});

test("two streams never have one key", () => {
  assert.notEqual(streamKey(stream("a", "success", { dag_id: "x/y", task_id: "z" })), streamKey(stream("a", "success", { dag_id: "x", task_id: "y/z" })));
});

test("a cohort without a name has its ID", () => {
  assert.equal(cohortLabel(stream("X", "success", { cohort_name: null })), "x");
});
