/** The small parts that both pages are made of, on the React that Airflow shares. */

import { below } from "./links.js";
import { getJson } from "./requests.js";
import { stateOf } from "./streams.js";
import { STYLES } from "./styles.js";
import { TIME_ZONE_EVENT, chosenTimeZone, formatTime, relativeTime } from "./times.js";

const { React } = globalThis;
export const h = React.createElement;
const { useCallback, useContext, useEffect, useState } = React;

const Zone = React.createContext("UTC");

function keptTimeZone() {
  try {
    return chosenTimeZone(globalThis.localStorage);
  } catch {
    return chosenTimeZone(undefined); // the browser keeps nothing for this site
  }
}

/** The frame of a page: its styles, and the time zone for all times in it. */
export function Page({ label, children }) {
  const [zone, setZone] = useState(keptTimeZone);
  useEffect(() => {
    const read = () => setZone(keptTimeZone());
    const events = ["storage", TIME_ZONE_EVENT];
    events.forEach((name) => globalThis.addEventListener(name, read));
    return () => events.forEach((name) => globalThis.removeEventListener(name, read));
  }, []);
  return h(Zone.Provider, { value: zone }, h("style", null, STYLES), h("section", { className: "acs", "aria-label": label }, children));
}

/** The time zone that is chosen. */
export function useZone() {
  return useContext(Zone);
}

/** A time, and beside it how long ago that is. */
export function Time({ at, compact = false }) {
  const zone = useZone();
  if (!at) return "–";
  const relative = relativeTime(at, Date.now());
  return h(
    React.Fragment,
    null,
    h("time", { dateTime: at, title: `${zone}, ${relative}`, className: "acs-time" }, formatTime(at, zone)),
    compact ? null : h("div", { className: "acs-quiet" }, relative),
  );
}

/** A link to one of Airflow's own pages, without loading Airflow anew where its router is at hand. */
export function Link({ to, children, ...more }) {
  const Router = globalThis.ReactRouterDOM?.Link;
  if (Router) return h(Router, { to, ...more }, children);
  return h("a", { href: below(document.baseURI, to), ...more }, children);
}

/** A state with the colour that Airflow gives it, or that a decision is needed. */
export function Badge({ state, asks = false }) {
  const { label, color } = stateOf(state, asks);
  return h(Mark, { color }, label);
}

/** A word on a colour. */
export function Mark({ color, children }) {
  const style = { background: `var(--chakra-colors-${color}-muted, transparent)`, color: `var(--chakra-colors-${color}-fg, inherit)` };
  return h("span", { className: "acs-badge", style }, children);
}

/** What is loading, also for a screen reader. */
export function Loading({ what }) {
  return h("p", { role: "status" }, `Loading ${what}…`);
}

/** What went wrong with a request, and a button that sends it again. */
export function Problem({ message, retry }) {
  return h(
    "div",
    { className: "acs-panel acs-alarm", role: "alert" },
    h("p", null, message),
    h("button", { type: "button", className: "acs-button", onClick: retry }, "Retry"),
  );
}

/** Names and values; one without a value is left out. */
export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== "–");
  if (!known.length) return null;
  return h(
    "dl",
    { className: "acs-facts" },
    known.map(([name, value]) => h(React.Fragment, { key: name }, h("dt", null, name), h("dd", null, value))),
  );
}

/** A table whose rows become cards where there is little room; roles are named, because that layout takes them away. */
export function Table({ caption, columns, rows, keyOf, after = () => null }) {
  const cell = (column, row) =>
    h(
      "td",
      { key: column.label, role: "cell", "data-label": column.label, className: classOf(column) },
      column.render(row),
    );
  return h(
    "table",
    { className: "acs-table", role: "table" },
    h("caption", null, caption),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map((column) =>
          h("th", { key: column.label, scope: "col", role: "columnheader", className: column.number ? "acs-number" : undefined }, column.label),
        ),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      rows.map((row) => {
        const detail = after(row);
        return h(
          React.Fragment,
          { key: keyOf(row) },
          h("tr", { role: "row" }, columns.map((column) => cell(column, row))),
          detail && h("tr", { role: "row" }, h("td", { role: "cell", colSpan: columns.length, className: "acs-detail" }, detail)),
        );
      }),
    ),
  );
}

function classOf({ number, wide }) {
  return [number && "acs-number", wide && "acs-wide"].filter(Boolean).join(" ") || undefined;
}

/** What a route responds with, and how to ask again. Data of before stays while, and where, a new request fails. */
export function useJson(url) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    getJson(url, { signal: controller.signal }).then(
      (data) => setState({ data, error: null, loading: false }),
      (error) => error.name === "AbortError" || setState(({ data }) => ({ data, error: error.message, loading: false })),
    );
    return () => controller.abort();
  }, [url, turn]);
  return { ...state, reload: useCallback(() => setTurn((before) => before + 1), []) };
}
