/** A task instance's report in words and sums: what the tab says, without how it looks. */

import { count, counted, percent } from "./numbers.js";
import { duration } from "./times.js";

const RETRY_SENTENCE = / ?(Airflow retries this task\.|Airflow does not retry this task\.|A retry does not help\.)$/;

/** What each kind of task does, for the heading. */
export const KINDS = { sync: "Sync", retirement: "Retirement", verification: "Verification" };

/** Whether Airflow tries again by itself, and the text without the sentence that says so. */
export function readError(text) {
  if (!text) return null;
  const [, sentence] = RETRY_SENTENCE.exec(text) ?? [];
  return { text: text.replace(RETRY_SENTENCE, ""), retries: sentence ? sentence === "Airflow retries this task." : null };
}

/** What a reader does next about an error. */
export function nextStep(error, state) {
  if (!error) return null;
  if (state === "up_for_retry") return "Wait: Airflow starts the next try by itself, and the try resumes where this one stopped.";
  if (error.retries) return "If no try is left, clear the task: it resumes where it stopped.";
  return "Do what the message says, then clear the task or trigger the DAG. Clearing does not send twice what Segment acknowledged.";
}

/** The sum that must hold for each destination, in numbers that stand beside each other. */
export function sums(destination) {
  const { planned, acknowledged, rejected, pending } = destination;
  const parts = [acknowledged ?? 0, rejected ?? 0, pending ?? 0];
  return { planned: planned ?? 0, acknowledged: parts[0], rejected: parts[1], pending: parts[2], holds: parts[0] + parts[1] + parts[2] === (planned ?? 0) };
}

/** The parts of a plan that are not zero, in the order of the report. */
export function planParts(destination) {
  const names = [
    ["entered", "entered"],
    ["exited", "exited"],
    ["retired", "retired"],
    ["changed", "changed a property"],
    ["in_doubt", "in doubt before, sent again"],
  ];
  const parts = names.map(([field, label]) => ({ label, value: destination[field] ?? 0 })).filter(({ value }) => value > 0);
  const unchanged = (destination.planned ?? 0) - parts.reduce((sum, { value }) => sum + value, 0);
  return unchanged > 0 ? [...parts, { label: "unchanged, sent too", value: unchanged }] : parts;
}

/** The events of a plan, as a sum; `null` where none was planned. Of a rejected identify no event is sent. */
export function eventSums({ events_planned: planned, events_acknowledged, events_rejected }) {
  if (!planned) return null;
  const [acknowledged, rejected] = [events_acknowledged ?? 0, events_rejected ?? 0];
  return { planned, acknowledged, rejected, unsent: Math.max(0, planned - acknowledged - rejected), holds: acknowledged + rejected <= planned };
}

/** Does not say "for good": with `events="at-least-once"`, the next sync sends a rejected event again. */
function eventStanding(destination) {
  const events = eventSums(destination);
  if (!events) return "";
  const { planned, acknowledged, rejected, unsent } = events;
  if (acknowledged === planned) return ` Segment acknowledged all ${counted(planned, "event")}.`;
  const others = [rejected && `${count(rejected)} rejected`, unsent && `${count(unsent)} not acknowledged`].filter(Boolean);
  return ` ${count(acknowledged)} of ${counted(planned, "event")} acknowledged, ${others.join(", ")}.`;
}

/** Where a sync or a retirement stands at one destination, in a sentence, and one about its events. */
export function standing(destination, dryRun) {
  const { planned, acknowledged, rejected, pending } = sums(destination);
  const events = eventSums(destination);
  if (dryRun) return `Dry run: ${counted(planned, "change")}${events ? ` and ${counted(events.planned, "event")}` : ""} would be sent. Nothing was sent.`;
  if (destination.committed) {
    if (!planned) return "Done: nothing changed, so nothing was sent.";
    const changes = rejected
      ? `${count(acknowledged)} of ${counted(planned, "change")} acknowledged, ${count(rejected)} rejected for good.`
      : `Segment acknowledged all ${counted(planned, "change")}.`;
    return `Done: ${changes}${eventStanding(destination)}`;
  }
  if (!acknowledged && !rejected) {
    const plan = planned ? `: ${counted(planned, "change")} would be sent` : "";
    return destination.error ? `Stopped before Segment acknowledged anything${plan}.` : `Nothing was sent yet${plan}.`;
  }
  return `Not finished: ${count(acknowledged)} of ${counted(planned, "change")} acknowledged, ${count(pending)} still to send.${eventStanding(destination)}`;
}

const CLASSES = [
  ["matched", "have the ledger's value"],
  ["different", "have another value"],
  ["absent", "have no value"],
  ["suppressed", "are suppressed at Segment"],
  ["shares_profile", "share a profile with another user ID"],
  ["unreadable", "could not be read"],
  ["unanswered", "got no final response"],
];

/** The users of a verification's sample by class; their sum is the sample. */
export function sampleParts(destination) {
  return CLASSES.map(([field, label]) => ({ field, label, value: destination[field] ?? 0 }));
}

/** Whether the classes of a sample add up to it. */
export function sampleHolds(destination) {
  return sampleParts(destination).reduce((sum, { value }) => sum + value, 0) === (destination.sampled ?? 0);
}

/** What a verification found at one destination, in one sentence. */
export function verdict(destination) {
  const { sampled, mismatches, upper_bound: bound, error } = destination;
  if (error) return "The verification did not pass, or did not end.";
  if (sampled === null || sampled === undefined) return "Counts only: the connection names no space, so no user was asked for.";
  if (!sampled) return "No user was in the sample.";
  const most = typeof bound === "number" ? ` At most ${percent(bound)} of all users differ (at 95 %).` : "";
  return `${counted(mismatches ?? 0, "mismatch", "mismatches")} in ${counted(sampled, "user")}.${most}`;
}

/** Reasons with their numbers, the most frequent first. */
export function reasons(byReason) {
  return Object.entries(byReason ?? {}).sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
}

/** How far a delivery is, in words: for a screen reader and beside the bar. */
export function progressText({ delivered, planned, per_second: rate, seconds_left: left }) {
  const parts = [`${count(delivered ?? 0)} of ${count(planned ?? 0)} delivered`];
  if (typeof rate === "number") parts.push(`${count(Math.round(rate))} a second`);
  if (typeof left === "number") parts.push(`${duration(left)} left`);
  return parts.join(", ");
}

/** Whether a question waits for a response, which the route decides: Airflow keeps an old question over a clear and a retry. */
export function isOpen(question) {
  return question?.open === true;
}

/** Which code an approval needs, and what to do where Airflow's form holds that of an earlier question. */
export function codeSentence({ code, form_code: formCode }) {
  if (!code) return null;
  if (code === formCode) return `The code of this question is ${code}. Airflow's form holds it already.`;
  const before = formCode ? `Airflow's form shows an earlier question and its code ${formCode}.` : "Airflow's form does not hold the code of this question.";
  return `${before} To approve the question on this page, enter ${code} in the form's field “question”.`;
}

const FILES = {
  planned_changes: "Planned changes of the dry run or of the question",
  rejected_users: "Rejected users, with reasons",
  mismatched_users: "Users that differ at Segment",
};

/** What a file has in it. */
export function fileLabel(what) {
  return FILES[what] ?? what;
}

/** A task as it is shown: while its question is open, what the guard found is the question and no error. */
export function shownTask(task) {
  if (!isOpen(task.question) || !task.report) return task;
  const destinations = task.report.destinations.map((destination) => ({ ...destination, error: null }));
  return { ...task, error: null, report: { ...task.report, destinations } };
}

/** Each error of a task once, with the destinations that it ended. */
export function errorsOf({ error, report, verify_report: verified }) {
  const byText = new Map();
  for (const destination of [...(report?.destinations ?? []), ...(verified?.destinations ?? [])]) {
    if (destination.error) byText.set(destination.error, [...(byText.get(destination.error) ?? []), destination.segment_conn_id]);
  }
  if (error && !byText.has(error)) byText.set(error, []);
  return [...byText].map(([text, destinations]) => ({ ...readError(text), destinations }));
}
