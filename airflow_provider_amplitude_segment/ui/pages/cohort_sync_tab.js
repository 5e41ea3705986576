/** The tab *Cohort sync* of a task instance: its report as a page, which follows the task while it runs. */

import { Badge, Facts, Link, Loading, Page, Problem, Time, h, useJson } from "./elements.js";
import { isMapped, requiredActionsPath, route, taskInstancePath } from "./links.js";
import { KINDS, codeSentence, errorsOf, isOpen, nextStep, shownTask } from "./report.js";
import { isAtWork } from "./streams.js";
import { Files, Progress, SyncReport, VerifyReport } from "./task_report.js";

const { useEffect } = globalThis.React;

const BETWEEN_POLLS_MS = 3_000;
const WHILE_ASKING_MS = 10_000;
const AFTER_FAILURE_MS = 15_000;

/** Ask again while the task may change: soon while it runs, later while a person decides, and later after a failure. */
function usePolling({ data, error, loading, reload }) {
  const state = data?.state;
  const asks = isOpen(data?.question) || state === "awaiting_input";
  useEffect(() => {
    if (loading || !(asks || isAtWork(state))) return undefined;
    const pause = error ? AFTER_FAILURE_MS : asks ? WHILE_ASKING_MS : BETWEEN_POLLS_MS;
    const timer = setTimeout(reload, pause);
    return () => clearTimeout(timer);
  }, [data, error, loading, reload, asks, state]);
}

function Question({ question, instance }) {
  const { subject, body, options, response, created_at: asked } = question;
  return h(
    "section",
    { className: "acs-panel acs-ask", "aria-label": "Question" },
    h("h3", null, isOpen(question) ? "This sync waits for a decision" : "A guard asked"),
    h("p", null, subject),
    isOpen(question)
      ? h("p", null, h(Link, { to: requiredActionsPath(instance) }, "Decide on Airflow's page Required Actions"), options?.length ? ` (${options.join(" / ")})` : "")
      : response
        ? h(Facts, {
            facts: [
              ["Decision", response.chosen?.join(", ")],
              ["By", response.by ?? "the time-out"],
              ["At", response.at && h(Time, { at: response.at, compact: true })],
            ],
          })
        : h("p", null, "The task went on, or ended, without a decision."),
    isOpen(question) && h("p", null, codeSentence(question)),
    asked && h("p", { className: "acs-quiet" }, "Asked ", h(Time, { at: asked, compact: true })),
    body && h("details", null, h("summary", null, "The question in full"), h("div", { className: "acs-pre" }, body)),
  );
}

function Errors({ task }) {
  return errorsOf(task).map((error) =>
    h(
      "section",
      { key: error.text, className: "acs-panel acs-alarm", "aria-label": "Error" },
      h("h3", null, error.destinations.length ? `Error at ${error.destinations.join(", ")}` : "Error"),
      h("p", null, error.text),
      h("p", null, h("strong", null, "Next step: "), nextStep(error, task.state)),
    ),
  );
}

function Missing({ task, instance }) {
  const log = h(Link, { to: taskInstancePath(instance) }, "the task's log");
  if (isAtWork(task.state)) return h("p", null, "No report yet: it appears here when the task has something to report.");
  if (!task.state) return h("p", null, "The task has not started.");
  return h("p", null, "This task instance has no report, because it ended before it began to sync. The reason is in ", log, ".");
}

function Task({ task, instance }) {
  const report = task.report ?? task.verify_report;
  const name = task.report?.cohort_name;
  const cohort = report ? (name ? `${name} (${report.cohort_id})` : report.cohort_id) : null;
  return [
    h(
      "div",
      { key: "head", className: "acs-head", role: "status", "aria-live": "polite" },
      h("h2", null, cohort ? `${KINDS[task.kind] ?? "Task"} of ${cohort}` : (KINDS[task.kind] ?? "Task")),
      h(Badge, { state: task.state, asks: isOpen(task.question) }),
    ),
    h("p", { key: "at", className: "acs-quiet" }, task.try_number ? `Try ${task.try_number}. ` : "", report?.at ? ["Reported ", h(Time, { key: "time", at: report.at, compact: true })] : ""),
    task.question && h(Question, { key: "question", question: task.question, instance }),
    h(Errors, { key: "errors", task }),
    task.progress && isAtWork(task.state) && h(Progress, { key: "progress", progress: task.progress }),
    task.report && h(SyncReport, { key: "report", report: task.report }),
    task.verify_report && h(VerifyReport, { key: "verified", report: task.verify_report }),
    !report && !task.error && h(Missing, { key: "missing", task, instance }),
    h(Files, { key: "files", files: task.files }),
  ];
}

function CohortSync({ dagId, runId, taskId, mapIndex }) {
  const instance = { dag_id: dagId, run_id: runId, task_id: taskId, map_index: isMapped(mapIndex) ? mapIndex : -1 };
  const asked = useJson(route(import.meta.url, "task", instance));
  usePolling(asked);
  const { data, error, loading, reload } = asked;
  return h(
    Page,
    { label: "Cohort sync" },
    error && h(Problem, { message: error, retry: reload }),
    !data && loading && h(Loading, { what: "the report" }),
    data && (data.kind === "other"
      ? h("p", { className: "acs-quiet" }, "This task syncs no cohort to Segment, so there is nothing to show here.")
      : h(Task, { task: shownTask(data), instance })),
  );
}

// Airflow takes the tab from here, under the name that the plugin registers.
globalThis["Cohort sync"] = CohortSync;
