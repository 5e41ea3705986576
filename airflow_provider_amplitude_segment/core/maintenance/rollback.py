"""A restatement: a new commit that no plan led to, which says anew what Segment was told.

Two reasons lead to one: going back to an earlier commit, and erasing users. It is written under a claim of its own, so
that no sync is at work meanwhile, and under a higher generation than all before, so that every sync after it reads it.
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
    """What a restatement came to.

    Attributes:
        generation: of the new commit.
        pairs: pairs of trait and user that it holds.
        in_doubt: those that the next sync tells again.
        all_known: whether everything told since could be read; who is named only in a damaged file is not known.
    """

    generation: int
    pairs: int
    in_doubt: int
    all_known: bool = True


def roll_back(ports: MaintenancePorts, stream: Stream, to: int) -> RollbackResult:
    """Say that Segment was told what commit ``to`` says; everything told since is in doubt, and told again next time.

    Args:
        ports: the ledger's place, and who rolls back.
        stream: whose ledger.
        to: generation of a commit that is kept.

    Raises:
        CommitNotKeptError: there is no such commit before the newest entry.
        ClaimHeldError: a sync is at work.
        LedgerDamagedError: the snapshot to go back to is missing or changed.
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
            # It holds more of each row than a sync does: the usual memory ends at less than a million.
            open_engine(scratch, is_wide=True) as engine,
        ):
            old = ledger.load_file(target.snapshot, scratch / "old.parquet")
            all_known = _gather_since(engine, ledger, store, to, scratch)
            state = scratch / "restated.parquet"
            _restate_old(engine, old, state, all_known=all_known)
            generation = held_claims.generation(stream)
            snapshot = ledger.store_file(str(ObjectName("snapshot", generation, generation)), state)
            held_claims.verify(stream)
            write_corrective_commit(ledger, target, snapshot, ports, generation)
            pairs, in_doubt = one_row(
                engine, f"SELECT count(*), count(*) FILTER (in_doubt) FROM ({pairs_query(state)})"
            )
            return RollbackResult(generation, int(pairs), int(in_doubt), all_known)


def _restate_old(engine: duckdb.DuckDBPyConnection, old: Path, to: Path, *, all_known: bool) -> None:
    """Write the old state with everyone in doubt whom a file of ``since`` gives another value, or everyone at all."""
    columns = [name for (name, *_) in engine.execute("DESCRIBE since").fetchall() if name.startswith("p_")]
    if columns:
        widen(engine)
    nothing = "".join(f", NULL::VARCHAR AS {column}" for column in columns)
    engine.execute(
        write_parquet(
            f"""WITH old AS ({pairs_query(old)}), moved AS (
                SELECT trait, user_id, bool_or(since.in_doubt OR since.told IS DISTINCT FROM old.told) AS moved
                FROM (
                    SELECT trait, user_id, told, in_doubt FROM since WHERE trait <> {literal(user_properties.KEY)}
                    UNION ALL SELECT trait, user_id, told, in_doubt FROM old
                ) since
                LEFT JOIN old USING (trait, user_id)
                GROUP BY trait, user_id
            )
            SELECT trait, user_id, old.told, {"moved" if all_known else "true"} AS in_doubt,
                   coalesce(old.refused, 0) AS refused{nothing}
            FROM moved LEFT JOIN old USING (trait, user_id)
            {_restated_properties(engine, old, columns, all_known=all_known) if columns else ""}""",
            to,
        )
    )


def _restated_properties(
    engine: duckdb.DuckDBPyConnection, old: Path, columns: Sequence[str], *, all_known: bool
) -> str:
    """Return the rows with properties of the old state; what was sent since, or is known otherwise, is not certain."""
    known = {user_properties.column(name) for name in user_properties.names_in(engine, old)}
    before = {column: f"old.{column}" if column in known else "NULL::VARCHAR" for column in columns}
    differs = {c: f"since.{c} IS DISTINCT FROM {before[c]}" for c in columns}
    doubts = ", ".join(
        f"bool_or(CASE WHEN is_change THEN since.{c} IS NOT NULL ELSE {differs[c]} END) AS {c}" for c in columns
    )
    doubtful = "false" if all_known else "true"
    after = ", ".join(
        f"CASE WHEN doubts.{c} OR ({before[c]} IS NOT NULL AND {doubtful}) THEN '?' ELSE {before[c]} END AS {c}"
        for c in columns
    )
    return f"""UNION ALL FROM (
            SELECT {literal(user_properties.KEY)} AS trait, user_id, NULL::BOOLEAN AS told, false AS in_doubt,
                   0 AS refused, {after}
            FROM ({properties_query(old)}) old FULL OUTER JOIN (
                SELECT user_id, {doubts}
                FROM (FROM since WHERE trait = {literal(user_properties.KEY)}) since
                LEFT JOIN ({properties_query(old)}) old USING (user_id) GROUP BY user_id
            ) doubts USING (user_id)
        ) WHERE coalesce({", ".join(columns)}) IS NOT NULL"""


def write_corrective_commit(
    ledger: Ledger, like: Plan | Commit, snapshot: StoredFile, ports: MaintenancePorts, generation: int
) -> None:
    """Commit a state that no delivery led to; ``like`` gives what its file alone does not say.

    The claim of ``generation`` was verified just before, after the file was stored.
    """
    now = ports.clock.now()
    ledger.write_commit(
        Commit(
            generation=generation,
            claim=generation,
            run_key=ports.run.key,
            # Of no export: a run that had requested one before asks for a new one.
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
        )
    )


def _delivered_generation(ledger: Ledger) -> int:
    """Return the generation of the newest sync that the ledger knows of; what is remembered beyond it stays lost."""
    try:
        newest = ledger.newest()
    except (LedgerDamagedError, LedgerFormatError):
        return ledger.newest_number()
    return newest.delivered_generation if newest else 0


def _latest_timestamp(ledger: Ledger, now: float) -> str | None:
    """Return the latest timestamp that messages of the stream were given, as far as entries can be read.

    What a bad clock dated in the future does not count.
    """
    moments = (entry.timestamp for entry in ledger.readable_entries())
    return max((moment for moment in moments if not is_ahead(moment, now)), default=None)


def _gather_since(engine: duckdb.DuckDBPyConnection, ledger: Ledger, store: Store, to: int, scratch: Path) -> bool:
    """Make the table ``since``: whom any file after commit ``to`` names, with the state it gives; changes are in doubt.

    Returns:
        Whether all of it could be read. Where not, nobody knows who else was told.
    """
    engine.execute(
        "CREATE TEMP TABLE since (trait VARCHAR, user_id VARCHAR, told BOOLEAN, in_doubt BOOLEAN, is_change BOOLEAN)"
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
            log.warning("%s cannot be read, so everyone is in doubt", store.locate(f"{ledger.folder}/{name}"))
            all_known = False
    return all_known and _are_whole(ledger, scratch)


def _gather(engine: duckdb.DuckDBPyConnection, file: Path, *, is_change: bool) -> None:
    """Add a file's pairs to ``since``, and in rows of their own what it says of users' properties."""
    names = user_properties.names_in(engine, file)
    for name in names:
        engine.execute(f"ALTER TABLE since ADD COLUMN IF NOT EXISTS {user_properties.column(name)} VARCHAR")
    rows = parquet_rows(file)
    if not is_change:
        columns = user_properties.listed(names)
        engine.execute(
            f"INSERT INTO since BY NAME SELECT trait, user_id, told, in_doubt, false AS is_change{columns} FROM {rows}"
        )
        return
    engine.execute(
        "INSERT INTO since BY NAME "
        f"SELECT trait, user_id, value AS told, true AS in_doubt, true AS is_change FROM {rows}"
    )
    if names:
        key = literal(user_properties.KEY)
        engine.execute(
            f"""INSERT INTO since BY NAME
                SELECT {key} AS trait, user_id, true AS is_change{user_properties.listed(names)}
                FROM {rows} WHERE {user_properties.any_of(names)}"""
        )


def _are_whole(ledger: Ledger, scratch: Path) -> bool:
    """Tell whether every entry can be read, and every commit's snapshot is what the commit says."""
    try:
        for number in ledger.commits():
            ledger.load_file(ledger.commit(number).snapshot, scratch / "checked.parquet")
        ledger.newest()
    except (LedgerDamagedError, LedgerFormatError) as error:
        log.warning("Everyone is in doubt: %s", error)
        return False
    return True
