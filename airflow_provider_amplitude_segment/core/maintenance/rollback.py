"""Rollback: a corrective commit that returns a ledger to an earlier commit.

A corrective commit has no plan. A rollback and an erasure write one, under a claim of its own, so that no sync runs
meanwhile. Its generation is the highest, so that every later sync reads it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.clock import is_ahead, later_timestamp
from airflow_provider_amplitude_segment.core.disk_space import rollback_room, stating_room
from airflow_provider_amplitude_segment.core.engine.database import disk_reason, one_row, open_engine, widen
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, objects_of
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, properties_query
from airflow_provider_amplitude_segment.core.plan.events import follows_no_sync
from airflow_provider_amplitude_segment.exceptions import CommitNotKeptError, LedgerDamagedError, LedgerFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.entry import Plan, StoredFile
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """The outcome of a rollback.

    Attributes:
        generation: of the new commit.
        pairs: number of pairs of trait and user in it.
        in_doubt: number of these that are in doubt, so that the next sync sends them again.
        all_known: whether all later files could be read; users named only in a damaged file are unknown.
    """

    generation: int
    pairs: int
    in_doubt: int
    all_known: bool = True


def roll_back(ports: MaintenancePorts, stream: Stream, to: int) -> RollbackResult:
    """Write a commit with the state of commit ``to``; users changed since are in doubt, so that they are sent again.

    Args:
        ports: the store, the run, the clock and a scratch folder.
        stream: the stream to roll back.
        to: generation of a commit in the ledger.

    Raises:
        CommitNotKeptError: the ledger has no such commit before its newest entry.
        ClaimHeldError: a sync is running.
        LedgerDamagedError: the snapshot of the commit is missing or changed.
        EngineError: the worker's disk or memory failed; nothing was changed.
    """
    store, scratch = ports.store, ports.scratch
    with HeldClaims(store, [stream], ports.run, ports.clock) as held_claims:
        ledger = Ledger(store, stream.folder)
        commits, newest = ledger.commits(), ledger.newest_number()
        if to not in commits or to == newest:
            raise CommitNotKeptError(store.locate(stream.folder), to, [n for n in commits if n != newest])
        target = ledger.commit(to)
        with (
            stating_room(lambda: rollback_room(ledger.readable_entries())),
            # It holds more of each row than a sync does: the usual memory is too little for a million.
            open_engine(scratch, is_wide=True) as engine,
        ):
            old = ledger.load_file(target.snapshot, scratch / "old.parquet")
            all_known = _gather_since(engine, ledger, store, to, scratch)
            state = scratch / "rolled-back.parquet"
            _write_old_state(engine, old, state, all_known=all_known)
            generation = held_claims.generation(stream)
            snapshot = ledger.store_file(str(ObjectName("snapshot", generation, generation)), state)
            held_claims.verify(stream)
            write_corrective_commit(ledger, target, snapshot, ports, generation)
            pairs, in_doubt = one_row(
                engine, f"SELECT count(*), count(*) FILTER (in_doubt) FROM ({pairs_query(state)})"
            )
            return RollbackResult(generation, int(pairs), int(in_doubt), all_known)


def _write_old_state(engine: duckdb.DuckDBPyConnection, old: Path, to: Path, *, all_known: bool) -> None:
    """Write the old state; in doubt are the pairs with another value in ``since``, or all unless ``all_known``."""
    columns = [name for (name, *_) in engine.execute("DESCRIBE since").fetchall() if name.startswith("p_")]
    if columns:
        widen(engine)
    nothing = "".join(f", NULL::VARCHAR AS {column}" for column in columns)
    engine.execute(
        write_parquet(
            f"""WITH old AS ({pairs_query(old)}), moved AS (
                SELECT trait, user_id,
                       bool_or(since.in_doubt OR since.delivered IS DISTINCT FROM old.delivered) AS moved
                FROM (
                    SELECT trait, user_id, delivered, in_doubt FROM since WHERE trait <> {literal(user_properties.KEY)}
                    UNION ALL SELECT trait, user_id, delivered, in_doubt FROM old
                ) since
                LEFT JOIN old USING (trait, user_id)
                GROUP BY trait, user_id
            )
            SELECT trait, user_id, old.delivered, {"moved" if all_known else "true"} AS in_doubt,
                   coalesce(old.rejections, 0) AS rejections{nothing}
            FROM moved LEFT JOIN old USING (trait, user_id)
            {_old_properties(engine, old, columns, all_known=all_known) if columns else ""}""",
            to,
        )
    )


def _old_properties(engine: duckdb.DuckDBPyConnection, old: Path, columns: Sequence[str], *, all_known: bool) -> str:
    """Return the rows of user properties of the old state; in doubt is each property that ``since`` has or changes."""
    known = {user_properties.column(name) for name in user_properties.names_in(engine, old)}
    before = {column: f"old.{column}" if column in known else "NULL::VARCHAR" for column in columns}
    differs = {c: f"since.{c} IS DISTINCT FROM {before[c]}" for c in columns}
    doubts = ", ".join(
        f"bool_or(CASE WHEN is_change THEN since.{c} IS NOT NULL ELSE {differs[c]} END) AS {c}" for c in columns
    )
    all_in_doubt = "false" if all_known else "true"
    after = ", ".join(
        f"CASE WHEN doubts.{c} OR ({before[c]} IS NOT NULL AND {all_in_doubt}) THEN '?' ELSE {before[c]} END AS {c}"
        for c in columns
    )
    return f"""UNION ALL FROM (
            SELECT {literal(user_properties.KEY)} AS trait, user_id, NULL::BOOLEAN AS delivered, false AS in_doubt,
                   0 AS rejections, {after}
            FROM ({properties_query(old)}) old FULL OUTER JOIN (
                SELECT user_id, {doubts}
                FROM (FROM since WHERE trait = {literal(user_properties.KEY)}) since
                LEFT JOIN ({properties_query(old)}) old USING (user_id) GROUP BY user_id
            ) doubts USING (user_id)
        ) WHERE coalesce({", ".join(columns)}) IS NOT NULL"""


def write_corrective_commit(
    ledger: Ledger, like: Plan | Commit, snapshot: StoredFile, ports: MaintenancePorts, generation: int
) -> None:
    """Commit a state without a delivery; ``like`` gives the fields that its snapshot does not have.

    The caller stores the snapshot, and then verifies the claim of ``generation``.
    """
    now = ports.clock.now()
    ledger.write_commit(
        Commit(
            generation=generation,
            claim=generation,
            run_key=ports.run.key,
            # Without an export, so that a run that has requested one before requests a new one.
            export_request_id="",
            trait=like.trait,
            timestamp=later_timestamp(now, _latest_timestamp(ledger, now)),
            snapshot=snapshot,
            proved_key=like.proved_key,
            segment_conn_id=like.segment_conn_id,
            destination=like.destination,
            report={},
            delivered_generation=_delivered_generation(ledger),
            origin=like.origin,
            run_label=ports.run.label,
            exported_epoch=max((entry.exported_epoch for entry in ledger.readable_entries()), default=0.0),
            follows_no_sync=_follows_no_sync(ledger, like),
        )
    )


def _follows_no_sync(ledger: Ledger, like: Plan | Commit) -> bool:
    """Return whether no sync had ended before ``like``; a commit that cannot be read is taken for a sync's."""
    try:
        return follows_no_sync(like, ledger)
    except (LedgerDamagedError, LedgerFormatError):
        return False


def _delivered_generation(ledger: Ledger) -> int:
    """Return the generation of the newest sync in the ledger, so that missing state is still detected after this."""
    try:
        newest = ledger.newest()
    except (LedgerDamagedError, LedgerFormatError):
        return ledger.newest_number()
    return newest.delivered_generation if newest else 0


def _latest_timestamp(ledger: Ledger, now: float) -> str | None:
    """Return the latest timestamp of the stream's messages, by the entries that can be read.

    A timestamp in the future does not count, because a wrong clock gave it.
    """
    moments = (entry.timestamp for entry in ledger.readable_entries())
    return max((moment for moment in moments if not is_ahead(moment, now)), default=None)


def _gather_since(engine: duckdb.DuckDBPyConnection, ledger: Ledger, store: Store, to: int, scratch: Path) -> bool:
    """Make the table ``since``: the pairs in any file after commit ``to``, with their state; changes are in doubt.

    Returns:
        Whether all files could be read; if not, some pairs are unknown.
    """
    engine.execute(
        "CREATE TEMP TABLE since "
        "(trait VARCHAR, user_id VARCHAR, delivered BOOLEAN, in_doubt BOOLEAN, is_change BOOLEAN)"
    )
    copy, all_known = scratch / "since.parquet", True
    for name in objects_of(ledger.names(), "changes", "base", "snapshot"):
        if name.generation <= to:
            continue
        store.get_file(f"{ledger.folder}/{name}", copy)
        try:
            _gather(engine, copy, is_change=name.kind == "changes")
        except duckdb.Error as error:
            if disk_reason(error):
                raise
            log.warning("%s cannot be read, so all users are in doubt", store.locate(f"{ledger.folder}/{name}"))
            all_known = False
    return all_known and _are_whole(ledger, scratch)


def _gather(engine: duckdb.DuckDBPyConnection, file: Path, *, is_change: bool) -> None:
    """Add a file's pairs to ``since``, and its user properties in rows of their own."""
    names = user_properties.names_in(engine, file)
    for name in names:
        engine.execute(f"ALTER TABLE since ADD COLUMN IF NOT EXISTS {user_properties.column(name)} VARCHAR")
    rows = parquet_rows(file)
    if not is_change:
        columns = user_properties.listed(names)
        engine.execute(
            "INSERT INTO since BY NAME "
            f"SELECT trait, user_id, delivered, in_doubt, false AS is_change{columns} FROM {rows}"
        )
        return
    engine.execute(
        "INSERT INTO since BY NAME "
        f"SELECT trait, user_id, value AS delivered, true AS in_doubt, true AS is_change FROM {rows}"
    )
    if names:
        key = literal(user_properties.KEY)
        engine.execute(
            f"""INSERT INTO since BY NAME
                SELECT {key} AS trait, user_id, true AS is_change{user_properties.listed(names)}
                FROM {rows} WHERE {user_properties.any_of(names)}"""
        )


def _are_whole(ledger: Ledger, scratch: Path) -> bool:
    """Return whether every entry can be read and every commit's snapshot is unchanged."""
    try:
        for number in ledger.commits():
            ledger.load_file(ledger.commit(number).snapshot, scratch / "checked.parquet")
        ledger.newest()
    except (LedgerDamagedError, LedgerFormatError) as error:
        log.warning("All users are in doubt: %s", error.happened)
        return False
    return True
