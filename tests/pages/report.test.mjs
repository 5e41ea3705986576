import assert from "node:assert/strict";
import { test } from "node:test";

import { codeSentence, errorsOf, eventSums, isOpen, nextStep, planParts, progressText, readError, reasons, sampleHolds, shownTask, standing, sums, verdict } from "../../airflow_provider_amplitude_segment/ui/pages/report.js";

const base = { planned: 21, acknowledged: 21, rejected: 0, pending: 0, entered: 12, exited: 9, retired: 0, changed: 0, in_doubt: 0, committed: true, error: null };

test("planned is acknowledged, rejected and pending; a report where it is not says so", () => {
  assert.deepEqual(sums({ ...base, acknowledged: 15, rejected: 2, pending: 4 }), { planned: 21, acknowledged: 15, rejected: 2, pending: 4, holds: true });
  assert.equal(sums({ ...base, pending: 1 }).holds, false);
  assert.equal(sums({}).holds, true);
});

test("the parts of a plan add up to it, in each mode", () => {
  for (const destination of [base, { ...base, planned: 12421, acknowledged: 12421 }, { ...base, planned: 24, in_doubt: 3 }]) {
    assert.equal(planParts(destination).reduce((sum, { value }) => sum + value, 0), destination.planned);
  }
  assert.deepEqual(planParts({ planned: 0 }), []);
});

test("where it stands is one sentence for each case", () => {
  assert.equal(standing(base, false), "Done: Segment acknowledged all 21 changes.");
  assert.equal(standing({ ...base, planned: 0, acknowledged: 0 }, false), "Done: nothing changed, so nothing was sent.");
  assert.equal(standing({ ...base, acknowledged: 20, rejected: 1 }, false), "Done: 20 of 21 changes acknowledged, 1 rejected for good.");
  assert.equal(standing({ ...base, acknowledged: 0, pending: 21, committed: false }, true), "Dry run: 21 changes would be sent. Nothing was sent.");
  assert.equal(standing({ ...base, acknowledged: 5, pending: 16, committed: false }, false), "Not finished: 5 of 21 changes acknowledged, 16 still to send.");
  assert.equal(standing({ planned: 0, committed: false, error: "A guard." }, false), "Stopped before Segment acknowledged anything.");
  assert.equal(standing({ planned: 0, committed: false, error: null }, false), "Nothing was sent yet.");
  assert.equal(standing({ planned: 3400, pending: 3400, committed: false, error: null }, false), "Nothing was sent yet: 3,400 changes would be sent.");
});

test("an error is read without its last sentence, which says whether Airflow retries", () => {
  assert.deepEqual(readError("It broke. Wait. Airflow retries this task."), { text: "It broke. Wait.", retries: true });
  assert.deepEqual(readError("Too many exit. Airflow does not retry this task."), { text: "Too many exit.", retries: false });
  assert.deepEqual(readError("KeyError"), { text: "KeyError", retries: null });
  assert.equal(readError(null), null);
});

test("the next step is to wait where Airflow tries again by itself, and else to act", () => {
  assert.match(nextStep({ text: "", retries: true }, "up_for_retry"), /^Wait:/);
  assert.match(nextStep({ text: "", retries: true }, "failed"), /clear the task/);
  assert.match(nextStep({ text: "", retries: false }, "failed"), /^Do what the message says/);
  assert.equal(nextStep(null, "success"), null);
});

test("the classes of a sample add up to it", () => {
  assert.equal(sampleHolds({ sampled: 10, matched: 7, different: 1, unanswered: 2 }), true);
  assert.equal(sampleHolds({ sampled: 10, matched: 7 }), false);
  assert.equal(sampleHolds({ sampled: null }), true);
});

test("a verdict says how many differ, and how many may", () => {
  assert.equal(verdict({ sampled: 1000, mismatches: 1, upper_bound: 0.0047 }), "1 mismatch in 1,000 users. At most 0.47 % of all users differ (at 95 %).");
  assert.match(verdict({ sampled: null }), /^Counts only/);
  assert.match(verdict({ sampled: 10, mismatches: 2, error: "x" }), /did not pass/);
});

test("the most frequent reason comes first", () => {
  assert.deepEqual(reasons({ b: 1, a: 1, c: 9 }), [["c", 9], ["a", 1], ["b", 1]]);
  assert.deepEqual(reasons(null), []);
});

test("progress is read out, also without a rate", () => {
  assert.equal(progressText({ delivered: 12000, planned: 40000, per_second: 999.6, seconds_left: 28 }), "12,000 of 40,000 delivered, 1,000 a second, 28 s left");
  assert.equal(progressText({ delivered: 0, planned: 5, per_second: null, seconds_left: null }), "0 of 5 delivered");
});

test("a question is open where the route says so, whatever else it has", () => {
  assert.deepEqual([null, { open: true }, { open: false, response: null }, { response: null }].map(isOpen), [false, true, false, false]);
});

test("a question says which code approves it, and where Airflow's form holds another", () => {
  assert.equal(codeSentence({ code: "A1B2C3", form_code: "A1B2C3" }), "The code of this question is A1B2C3. Airflow's form holds it already.");
  assert.match(codeSentence({ code: "D4E5F6", form_code: "A1B2C3" }), /earlier question and its code A1B2C3\. .* enter D4E5F6 in the form's field/);
  assert.match(codeSentence({ code: "D4E5F6", form_code: null }), /does not hold the code.* enter D4E5F6/);
  assert.equal(codeSentence({ code: null, form_code: null }), null);
});

test("events that Segment rejected are in the sentence and in a sum of their own", () => {
  const events = { ...base, events_planned: 10, events_acknowledged: 7, events_rejected: 3 };
  assert.deepEqual(eventSums(events), { planned: 10, acknowledged: 7, rejected: 3, unsent: 0, holds: true });
  assert.equal(standing(events, false), "Done: Segment acknowledged all 21 changes. 7 of 10 events acknowledged, 3 rejected.");
  assert.equal(standing({ ...events, events_acknowledged: 10, events_rejected: 0 }, false), "Done: Segment acknowledged all 21 changes. Segment acknowledged all 10 events.");
  assert.equal(standing({ ...events, events_rejected: 0 }, false), "Done: Segment acknowledged all 21 changes. 7 of 10 events acknowledged, 3 not acknowledged.");
  assert.equal(standing({ ...events, committed: false }, true), "Dry run: 21 changes and 10 events would be sent. Nothing was sent.");
  assert.equal(eventSums({ ...events, events_acknowledged: 9 }).holds, false);
  assert.equal(eventSums(base), null);
});

test("an error that ended two destinations is shown once, with both", () => {
  const destinations = [{ segment_conn_id: "a", error: "Gone." }, { segment_conn_id: "b", error: "Gone." }, { segment_conn_id: "c", error: null }];
  const errors = errorsOf({ error: "Gone.", report: { destinations }, verify_report: null });
  assert.deepEqual(errors, [{ text: "Gone.", retries: null, destinations: ["a", "b"] }]);
  assert.deepEqual(errorsOf({ error: "No ledger.", report: null }).map(({ destinations }) => destinations), [[]]);
  assert.deepEqual(errorsOf({ error: null, report: null }), []);
});

test("what a guard found is no error while its question is open, and one again after that", () => {
  const task = { question: { open: true, response: null }, error: "150 would exit.", report: { destinations: [{ segment_conn_id: "a", error: "150 would exit." }] } };
  assert.deepEqual(errorsOf(shownTask(task)), []);
  assert.equal(errorsOf(shownTask({ ...task, question: { open: false, response: { chosen: ["Do not send"] } } })).length, 1);
  assert.equal(errorsOf(shownTask({ ...task, question: { open: false, response: null } })).length, 1);
});
