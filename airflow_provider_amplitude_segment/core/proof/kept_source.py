"""Keep what Segment said of a write key for the DAG run, so that its other tasks and tries do not ask again.

``amplitude-segment-source-<key fingerprint>.json`` at the state path's root; the next DAG run writes over it. Kept are
a proved source, once all of it was read, and that the token may not see the key. An error is not, because it must not
outlive what cures it. Everything here is best effort, because Segment can be asked again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.ledger.object_names import source_file
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import (
    FORMAT,
    decode_entry,
    encode_entry,
    refuse_foreign,
)
from airflow_provider_amplitude_segment.core.segment_api.source_check import ProvedSource, UnknownSource
from airflow_provider_amplitude_segment.core.segment_api.workspace import IdentifyRules, ListedSource, Workspace
from airflow_provider_amplitude_segment.exceptions import LedgerError, StatePathError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store

log = logging.getLogger(__name__)


def read_source(store: Store, key_fingerprint: str, run: Run) -> ProvedSource | UnknownSource | None:
    """Return what Segment said of a key in this DAG run; ``None`` where nothing is kept that can be read.

    A cleared DAG run asks again, because what was cleared may have been cured in Segment.
    """
    try:
        entry = decode_entry(store.get(source_file(key_fingerprint))) or {}
    except StatePathError as error:
        log.info("Whether this DAG run has proved the write key cannot be read: %s", error.happened)
        return None
    same_run = run.dag_run and (entry.get("dag_run"), entry.get("clear_number")) == (run.dag_run, run.clear_number)
    if not same_run or entry.get("format") != FORMAT:
        return None
    try:
        return _proved(entry) if entry.get("enabled") is True else _unknown(entry["unknown"])
    except (KeyError, TypeError, ValueError):
        return None


def _proved(entry: dict[str, Any]) -> ProvedSource:
    # Every one a text, so that a damaged entry counts as none.
    texts = {name: entry[name] for name in ("workspace_id", "workspace", "workspace_name", "source_id", "source")}
    texts["source_name"] = entry["source_name"]
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError
    return ProvedSource(
        Workspace(texts["workspace_id"], texts["workspace"], texts["workspace_name"]),
        ListedSource(texts["source_id"], texts["source"], texts["source_name"], enabled=True),
        _rules(entry["rules"]),
        feeds_amplitude=entry["feeds_amplitude"] is True,
    )


def _unknown(unknown: dict[str, Any]) -> UnknownSource:
    reason, advice = unknown["reason"], unknown["advice"]
    if not isinstance(reason, str) or not isinstance(advice, str):
        raise TypeError
    return UnknownSource(reason, advice, is_lasting=True)


def _rules(rules: dict[str, Any] | None) -> IdentifyRules | None:
    if rules is None:
        return None
    planned = rules["planned_traits"]
    return IdentifyRules(
        rules["tracking_plan_id"],
        rules["drops_unplanned_traits"] is True,
        None if planned is None else frozenset(map(str, planned)),
    )


def write_source(
    store: Store, key_fingerprint: str, run: Run, checked: ProvedSource | UnknownSource, now: float
) -> None:
    """Write what Segment would say to the next task too over what an earlier DAG run kept; a failure is only logged."""
    said = _fields(checked)
    if not run.dag_run or said is None:
        return
    entry = {"dag_run": run.dag_run, "clear_number": run.clear_number, "proved_at": timestamp(now), **said}
    name = source_file(key_fingerprint)
    try:
        refuse_foreign(store.get(name), store.locate(name))
        store.put(name, encode_entry(entry))
    except LedgerError as error:
        log.info("The proof of the write key is not kept, so the next task asks again: %s", error.happened)


def _fields(checked: ProvedSource | UnknownSource) -> dict[str, Any] | None:
    """Return the fields of what is kept; ``None`` where another try may get more."""
    if isinstance(checked, UnknownSource):
        unknown = {"reason": checked.reason, "advice": checked.advice}
        return {"enabled": None, "unknown": unknown} if checked.is_lasting else None
    return _proved_fields(checked) if checked.is_whole else None


def _proved_fields(proved: ProvedSource) -> dict[str, Any]:
    rules = proved.rules
    return {
        "workspace_id": proved.workspace.workspace_id,
        "workspace": proved.workspace.slug,
        "workspace_name": proved.workspace.name,
        "source_id": proved.source.source_id,
        "source": proved.source.slug,
        "source_name": proved.source.name,
        "enabled": proved.source.enabled,
        "rules": None
        if rules is None
        else {
            "tracking_plan_id": rules.tracking_plan_id,
            "drops_unplanned_traits": rules.drops_unplanned_traits,
            "planned_traits": None if rules.planned_traits is None else sorted(rules.planned_traits),
        },
        "feeds_amplitude": proved.feeds_amplitude,
    }
