/** How the pages look: in Airflow's own colours, which follow its light and dark mode, and by the room that they have. */

const COLUMNS_TO_CARDS = `
  .acs-table, .acs-table tbody { display: block; }
  .acs-table thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .acs-table tr { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 12px; padding: 12px 4px;
    border-bottom: 1px solid var(--acs-border); }
  .acs-table td, .acs-table td.acs-number { display: block; padding: 0; border: 0; text-align: left; min-width: 0; overflow-wrap: anywhere; }
  .acs-table td::before { content: attr(data-label); display: block; font-size: 12px; color: var(--acs-quiet); }
  .acs-table td.acs-wide { grid-column: 1 / -1; }
  .acs-table td.acs-wide::before, .acs-table td.acs-detail::before { content: none; }
  .acs-table td.acs-detail { grid-column: 1 / -1; padding: 0; background: none; }
`;

export const STYLES = `
.acs { --acs-border: var(--chakra-colors-border, #d4d4d8); --acs-quiet: var(--chakra-colors-fg-muted, #52525b);
  --acs-link: var(--chakra-colors-blue-fg, #1d4ed8); --acs-panel: var(--chakra-colors-bg-subtle, #fafafa);
  container-type: inline-size; color: var(--chakra-colors-fg, inherit); background: var(--chakra-colors-bg, inherit);
  font-size: 14px; line-height: 1.45; padding: 16px; min-width: 0; width: 100%; height: 100%; overflow: auto; box-sizing: border-box; }
.acs h2 { font-size: 22px; font-weight: 600; margin: 0; }
.acs h3 { font-size: 16px; font-weight: 600; margin: 0 0 8px; }
.acs h4 { font-size: 14px; font-weight: 600; margin: 12px 0 4px; }
.acs p { margin: 4px 0; overflow-wrap: anywhere; max-width: 90ch; }
.acs ol { padding-left: 22px; list-style: decimal; margin: 8px 0; }
.acs li { margin: 4px 0; }
.acs code { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; background: var(--chakra-colors-bg-muted, #f4f4f5); padding: 0 4px; border-radius: 4px; }
.acs a, .acs .acs-name { color: var(--acs-link); text-decoration: underline; text-underline-offset: 2px; overflow-wrap: anywhere; }
.acs a:focus-visible, .acs button:focus-visible, .acs input:focus-visible, .acs select:focus-visible, .acs summary:focus-visible {
  outline: 2px solid var(--acs-link); outline-offset: 2px; border-radius: 4px; }
.acs-quiet { color: var(--acs-quiet); font-size: 12px; }
.acs-bar { display: flex; flex-wrap: wrap; align-items: end; gap: 12px; margin: 12px 0; }
.acs-head { display: flex; flex-wrap: wrap; align-items: center; gap: 10px; }
.acs-field { display: flex; flex-direction: column; gap: 4px; min-width: 0; }
.acs-field input, .acs-field select { border: 1px solid var(--acs-border); border-radius: 6px; padding: 6px 10px; min-height: 36px;
  background: var(--chakra-colors-bg, inherit); color: inherit; max-width: 100%; }
.acs-field input { width: 300px; }
.acs-button { border: 1px solid var(--acs-border); border-radius: 6px; padding: 6px 14px; min-height: 36px; background: var(--chakra-colors-bg-muted, #f4f4f5); cursor: pointer; }
.acs-button:disabled { opacity: .6; cursor: default; }
.acs-name { background: none; border: 0; padding: 2px 0; text-align: left; cursor: pointer; font-weight: 600; }
.acs-badge { display: inline-block; border-radius: 6px; padding: 1px 8px; font-size: 12px; font-weight: 600; white-space: nowrap; }
.acs-table { width: 100%; border-collapse: collapse; }
.acs-table caption, .acs-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.acs-table th { text-align: left; font-weight: 600; font-size: 13px; padding: 8px 10px; border-bottom: 2px solid var(--acs-border); white-space: nowrap; }
.acs-table td { padding: 8px 10px; border-bottom: 1px solid var(--acs-border); vertical-align: top; overflow-wrap: break-word; }
.acs-table td.acs-wide { overflow-wrap: anywhere; }
.acs-table .acs-number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.acs-time { white-space: nowrap; font-variant-numeric: tabular-nums; }
.acs-table td.acs-detail { background: var(--acs-panel); padding: 16px; }
.acs-panel { border: 1px solid var(--acs-border); border-radius: 8px; padding: 14px 16px; margin: 12px 0; background: var(--acs-panel); }
.acs-panel.acs-alarm { border-left: 4px solid var(--chakra-colors-failed-solid, #dc2626); }
.acs-panel.acs-ask { border-left: 4px solid var(--chakra-colors-orange-solid, #ea580c); }
.acs-sum { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: baseline; margin: 8px 0; padding: 0; }
.acs-sum span.acs-part { display: inline-flex; flex-direction: column; }
.acs-sum b { font-size: 20px; font-variant-numeric: tabular-nums; }
.acs-facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 16px; margin: 8px 0; }
.acs-facts dt { color: var(--acs-quiet); }
.acs-facts dd { margin: 0; overflow-wrap: anywhere; }
.acs-track { height: 10px; border-radius: 5px; background: var(--chakra-colors-bg-emphasized, #e4e4e7); overflow: hidden; margin: 6px 0; }
.acs-track div { height: 100%; background: var(--chakra-colors-running-solid, #0891b2); }
.acs-pre { white-space: pre-wrap; font-family: ui-monospace, monospace; font-size: 12px; overflow-wrap: anywhere; }
.acs-chart { width: 100%; display: block; margin: 8px 0 12px; }
.acs-chart text { fill: var(--acs-quiet); font-size: 11px; }
.acs-key { display: inline-flex; align-items: center; gap: 6px; margin-right: 16px; font-size: 12px; }
.acs-key i { width: 12px; height: 12px; border-radius: 2px; display: inline-block; }
@container (max-width: 860px) { ${COLUMNS_TO_CARDS} .acs-field, .acs-field input, .acs-field select { width: 100%; } }
@container (max-width: 480px) { .acs-facts { grid-template-columns: minmax(0, 1fr); } .acs-facts dd { margin-bottom: 6px; } }
`;
