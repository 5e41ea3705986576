/** A report as it is read: one part for each destination of a sync, a retirement or a verification. */

import { Facts, Mark, h } from "./elements.js";
import { count, percent, progressPercent } from "./numbers.js";
import { eventSums, fileLabel, planParts, progressText, reasons, sampleHolds, sampleParts, standing, sums, verdict } from "./report.js";
import { duration } from "./times.js";

const { Fragment } = globalThis.React;
const CHECKS = { proved: "proved: the source is enabled and has this write key", unknown: "could not be proved" };

function Sum({ total, parts, holds }) {
  const part = ({ label, value }) => h("span", { className: "acs-part", key: label }, h("b", null, count(value)), h("span", { className: "acs-quiet" }, label));
  return h(
    Fragment,
    null,
    h(
      "div",
      { className: "acs-sum" },
      part(total),
      parts.map((each, index) => h(Fragment, { key: each.label }, h("span", null, index ? "+" : "="), part(each))),
    ),
    !holds && h("p", { role: "alert" }, "These numbers do not add up. Report this as a bug of the provider."),
  );
}

function SyncedDestination({ destination, dryRun }) {
  const { planned, acknowledged, rejected, pending, holds } = sums(destination);
  const parts = [
    { label: "acknowledged", value: acknowledged },
    { label: "rejected", value: rejected },
    { label: "pending", value: pending },
  ];
  const plan = planParts(destination);
  const events = eventSums(destination);
  return h(
    "section",
    { className: "acs-panel", "aria-label": `Destination ${destination.segment_conn_id}` },
    h("h3", null, destination.segment_conn_id),
    h("p", null, standing(destination, dryRun)),
    h(Sum, { total: { label: "planned", value: planned }, parts, holds }),
    events &&
      h(Sum, {
        total: { label: "events planned", value: events.planned },
        parts: [
          { label: "acknowledged", value: events.acknowledged },
          { label: "rejected", value: events.rejected },
          { label: "not acknowledged", value: events.unsent },
        ],
        holds: events.holds,
      }),
    plan.length > 0 && h("p", null, `Of the plan: ${plan.map(({ label, value }) => `${count(value)} ${label}`).join(", ")}.`),
    h(Facts, {
      facts: [
        ["Trait", destination.trait && h("code", null, destination.trait)],
        ["Unchanged, not sent", destination.mode === "incremental" ? count(destination.unchanged) : null],
        ["Skipped after rejections", destination.skipped ? count(destination.skipped) : null],
        ["Have it after this", count(destination.known)],
        ["Duration", destination.seconds ? duration(destination.seconds) : null],
        ["Approved by", destination.approved_by],
        ["Write key", CHECKS[destination.source_checked]],
        ["Generation", destination.generation],
      ],
    }),
  );
}

/** The report of a sync or of a retirement. */
export function SyncReport({ report }) {
  return h(
    Fragment,
    null,
    report.dry_run && h("p", null, h(Mark, { color: "purple" }, "Dry run"), " Nothing was sent to Segment."),
    report.nothing_new && h("p", null, "The cohort files were synced before, so there was nothing new to send."),
    report.destinations.map((destination) => h(SyncedDestination, { key: destination.destination, destination, dryRun: report.dry_run })),
    report.rows !== null &&
      report.rows !== undefined &&
      h(
        "section",
        { className: "acs-panel", "aria-label": "Export" },
        h("h3", null, "Export from Amplitude"),
        h(Sum, {
          total: { label: "rows", value: report.rows },
          parts: [
            { label: "members", value: report.members ?? 0 },
            { label: "anonymous", value: report.anonymous ?? 0 },
            { label: "duplicates", value: report.duplicates ?? 0 },
          ],
          holds: report.rows === (report.members ?? 0) + (report.anonymous ?? 0) + (report.duplicates ?? 0),
        }),
        h(Facts, {
          facts: [
            ["Read from", { api: "Amplitude's API", files: "cohort files" }[report.export_source]],
            ["Request", report.export_request_id],
            ["Size in Amplitude's list", count(report.cohort_size)],
            ["Exports left this month", count(report.exports_left)],
          ],
        }),
      ),
  );
}

function Reasons({ title, byReason }) {
  const found = reasons(byReason);
  if (!found.length) return null;
  return h(Fragment, null, h("h4", null, title), h(Facts, { facts: found.map(([reason, number]) => [reason, count(number)]) }));
}

function VerifiedDestination({ destination }) {
  const parts = sampleParts(destination).filter(({ field, value }) => value > 0 || ["matched", "different", "absent"].includes(field));
  const asked = typeof destination.sampled === "number";
  return h(
    "section",
    { className: "acs-panel", "aria-label": `Destination ${destination.segment_conn_id}` },
    h("h3", null, destination.segment_conn_id),
    h("p", null, verdict(destination)),
    asked && h(Sum, { total: { label: "users asked for", value: destination.sampled }, parts, holds: sampleHolds(destination) }),
    h(Facts, {
      facts: [
        ["Trait", destination.trait && h("code", null, destination.trait)],
        ["Mismatches in the state", percent(destination.ratio)],
        ["Members in the ledger", count(destination.members)],
        ["In doubt in the ledger", count(destination.in_doubt)],
        ["Acknowledged in the last sync", count(destination.acknowledged)],
        ["Received by the source then", count(destination.received)],
        ["Set in doubt, to be sent again", destination.healed ? count(destination.healed) : null],
      ],
    }),
    h(Reasons, { title: "Failed on ingest, by Segment's reason", byReason: destination.failed }),
    h(Reasons, { title: "Filtered at the source, by Segment's reason", byReason: destination.filtered }),
  );
}

/** The report of a verification. */
export function VerifyReport({ report }) {
  return report.destinations.map((destination) => h(VerifiedDestination, { key: destination.destination, destination }));
}

/** How far a task is that runs. */
export function Progress({ progress }) {
  return h(
    "section",
    { className: "acs-panel", "aria-label": "Progress" },
    h("h3", null, progress.step || "Running"),
    (progress.destinations ?? []).map((each) => {
      const done = progressPercent(each.delivered ?? 0, each.planned ?? 0);
      const text = progressText(each);
      return h(
        "div",
        { key: each.segment_conn_id },
        h("div", null, `${each.segment_conn_id}: ${text}`),
        h(
          "div",
          { className: "acs-track", role: "progressbar", "aria-label": `Delivery to ${each.segment_conn_id}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": done, "aria-valuetext": text },
          h("div", { style: { width: `${done}%` } }),
        ),
      );
    }),
  );
}

/** Where files for people lie; they hold user IDs, so this page shows where they are and not what is in them. */
export function Files({ files }) {
  if (!files?.length) return null;
  return h(
    "section",
    { className: "acs-panel", "aria-label": "Files" },
    h("h3", null, "Files"),
    h("p", { className: "acs-quiet" }, "They name users, so they stay in the ledger's folder. Open them there."),
    files.map(({ what, segment_conn_id: connection, location }) =>
      h("p", { key: location }, `${fileLabel(what)}, ${connection}: `, h("code", null, location)),
    ),
  );
}
