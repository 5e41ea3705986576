/** The page *Cohort syncs*: one line for each cohort and destination that this user may read. */

import { Badge, Link, Loading, Mark, Page, Problem, Table, Time, h, useJson, useZone } from "./elements.js";
import { History } from "./history.js";
import { dagPath, isMapped, requiredActionsPath, route, taskInstancePath } from "./links.js";
import { count, signed } from "./numbers.js";
import { cohortLabel, filterStreams, hasReport, sortStreams, stateCounts, streamKey, summary } from "./streams.js";

const { Fragment, useMemo, useState } = globalThis.React;

/**
 * The filter and what is open, in the address, so that a reader can send it. Airflow's router is left out of it, because
 * Airflow draws a page anew at the first address that the router sees after it has loaded the page.
 */
function useAddress() {
  const [search, setSearch] = useState(() => new URLSearchParams(globalThis.location.search));
  const change = (changes) => {
    const after = new URLSearchParams(search);
    Object.entries(changes).forEach(([name, value]) => (value ? after.set(name, value) : after.delete(name)));
    setSearch(after);
    const { history, location } = globalThis;
    const query = after.toString();
    history.replaceState(history.state, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
  };
  return [(name) => search.get(name) ?? "", change];
}

function Filter({ streams, text, label, change, reload, loading }) {
  return h(
    "div",
    { className: "acs-bar", role: "search" },
    h(
      "label",
      { className: "acs-field" },
      "Filter",
      h("input", { type: "search", value: text, placeholder: "Cohort, connection or DAG", onChange: (event) => change({ filter: event.target.value }) }),
    ),
    h(
      "label",
      { className: "acs-field" },
      "State",
      h(
        "select",
        { value: label, onChange: (event) => change({ state: event.target.value }) },
        h("option", { value: "" }, "All"),
        [...new Set([...stateCounts(streams).map(([name]) => name), label])]
          .filter(Boolean)
          .map((name) => h("option", { key: name, value: name }, name)),
      ),
    ),
    h("button", { type: "button", className: "acs-button", onClick: reload, disabled: loading }, loading ? "Loading…" : "Refresh"),
  );
}

/** A sync that has not reported: what is known is its task. */
function FirstSync({ stream }) {
  const task = isMapped(stream.map_index) ? `${stream.task_id} [${stream.map_index}]` : stream.task_id;
  return h(
    Fragment,
    null,
    h("div", null, cohortLabel(stream)),
    h("div", { className: "acs-quiet" }, "No report yet · ", h(Link, { to: dagPath(stream.dag_id) }, stream.dag_id), " · ", h(Link, { to: taskInstancePath(stream) }, task)),
  );
}

function columns(open, change) {
  const toggle = (stream) => {
    if (!hasReport(stream)) return h(FirstSync, { stream });
    const key = streamKey(stream);
    const isOpen = open === key;
    return h(
      Fragment,
      null,
      h(
        "button",
        {
          type: "button",
          className: "acs-name",
          "aria-expanded": isOpen,
          "aria-controls": isOpen ? `acs-${key}` : undefined,
          onClick: () => change({ open: isOpen ? "" : key }),
        },
        cohortLabel(stream),
      ),
      h("div", { className: "acs-quiet" }, `${stream.cohort_id} · `, h(Link, { to: dagPath(stream.dag_id) }, stream.dag_id)),
    );
  };
  const state = (stream) =>
    h(
      Fragment,
      null,
      h(Badge, { state: stream.state, asks: stream.question_open }),
      stream.dry_run && h("div", null, h(Mark, { color: "purple" }, "Dry run")),
      stream.question_open && h("div", null, h(Link, { to: requiredActionsPath(stream), "aria-label": `Decide about ${cohortLabel(stream)}` }, "Decide")),
    );
  return [
    { label: "Cohort", wide: true, render: toggle },
    { label: "Destination", render: (stream) => stream.segment_conn_id ?? "–" },
    { label: "State", render: state },
    { label: "Last sync", render: (stream) => h(Time, { at: stream.at }) },
    { label: "Members", number: true, render: (stream) => count(stream.members) },
    { label: "Entered", number: true, render: (stream) => signed(stream.entered, "+") },
    { label: "Exited", number: true, render: (stream) => signed(stream.exited, "−") },
    { label: "Rejected", number: true, render: (stream) => count(stream.rejected) },
    { label: "Pending", number: true, render: (stream) => count(stream.pending) },
    { label: "Next run", render: (stream) => h(Time, { at: stream.next_run_at }) },
  ];
}

function Empty() {
  return h(
    "div",
    { className: "acs-panel" },
    h("h3", null, "No cohort was synced yet"),
    h("p", null, "This page lists each cohort and destination as soon as its first sync begins, if you may read the DAG's XComs and task instances. To begin:"),
    h(
      "ol",
      null,
      h("li", null, "Make a connection to Amplitude and one to Segment in ", h(Link, { to: "/connections" }, "Connections"), "."),
      h("li", null, "Copy an example DAG of the provider, such as ", h("code", null, "amplitude_segment_ad_hoc.py"), ", into your DAGs folder."),
      h("li", null, "Trigger it in ", h(Link, { to: "/dags" }, "Dags"), ": choose a cohort in its form, and begin with a dry run."),
    ),
    h("p", null, "The provider's documents have these steps in full: ", h("code", null, "docs/how-to/first-sync.md"), "."),
  );
}

function List({ data, loading, reload }) {
  const [get, change] = useAddress();
  const zone = useZone();
  const streams = useMemo(() => sortStreams(data.syncs), [data]);
  const [text, label, open] = [get("filter"), get("state"), get("open")];
  const shown = useMemo(() => filterStreams(streams, text, label), [streams, text, label]);
  if (!streams.length) return h(Empty);
  return h(
    Fragment,
    null,
    h(Filter, { streams, text, label, change, reload, loading }),
    h("p", { role: "status", "aria-live": "polite" }, `${summary(streams, shown)}.`, h("span", { className: "acs-quiet" }, ` Times are in ${zone}.`)),
    data.truncated && h("p", null, "There are more streams than this page shows: the ones that were synced last are here."),
    shown.length > 0
      ? h(Table, {
          caption: "Cohort syncs, one row for each cohort and destination",
          columns: columns(open, change),
          rows: shown,
          keyOf: streamKey,
          after: (stream) => open === streamKey(stream) && hasReport(stream) && h(History, { stream, name: cohortLabel(stream), id: `acs-${open}` }),
        })
      : h("p", null, "No stream matches the filter. ", h("button", { type: "button", className: "acs-button", onClick: () => change({ filter: "", state: "" }) }, "Show all")),
  );
}

function CohortSyncs() {
  const { data, error, loading, reload } = useJson(route(import.meta.url, "syncs"));
  return h(
    Page,
    { label: "Cohort syncs" },
    h("h2", null, "Cohort syncs"),
    error && h(Problem, { message: error, retry: reload }),
    !data && loading && h(Loading, { what: "the cohort syncs" }),
    data && h(List, { data, loading, reload }),
  );
}

// Airflow takes the page from here, under the name that the plugin registers.
globalThis["Cohort syncs"] = CohortSyncs;
