"""The list of a draft's planned changes, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_csv
from airflow_provider_amplitude_segment.core.ledger.object_names import dry_run_file
from airflow_provider_amplitude_segment.core.user_properties import members_of_object, names_in

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_amplitude_segment.core.plan.draft import NewDraft


def list_planned(engine: duckdb.DuckDBPyConnection, draft: NewDraft, name: str) -> str:
    """Write a draft's changes to ``dry-runs/<name>.csv`` for people, and return its location."""
    path = draft.opened.scratch / "planned.csv"
    names = names_in(engine, draft.diff.changes)
    properties = f", concat('{{', substr({members_of_object(names)}, 2), '}}') AS properties" if names else ""
    changes = parquet_rows(draft.diff.changes)
    engine.execute(write_csv(f"SELECT trait, user_id, value{properties} FROM {changes}", path))
    return draft.opened.ledger.store_side_file(dry_run_file(name), path)
