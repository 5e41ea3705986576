"""Read a set of cohort files into a membership: (existing + entering) - exiting, by Amplitude's ID.

The documents say two things of *existing*: the members at the last sync, and a complete log. In the first reading the
sum is today's cohort, as it is where *existing* has today's members already. In the second it is not, so the result is
compared with the size that Amplitude lists. That counts anonymous users too, as the rows of the files do (ADR 0033).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.disk_space import stating_room, sync_room
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch, remove_scratch
from airflow_provider_amplitude_segment.core.export.cohort_files import KINDS
from airflow_provider_amplitude_segment.core.membership.csv_file import read_csv_file
from airflow_provider_amplitude_segment.core.membership.file_set_columns import (
    amplitude_id_column,
    file_user_id_column,
    property_text,
)
from airflow_provider_amplitude_segment.core.membership.membership import count_members, id_column, log_counts
from airflow_provider_amplitude_segment.exceptions import (
    CohortFileRefusedError,
    CohortFilesChangedError,
    CohortFilesMismatchError,
    ExportFileError,
)

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.engine.database import Engine
    from airflow_provider_amplitude_segment.core.export.cohort_files import FileKind, FileSet, ListedFile
    from airflow_provider_amplitude_segment.core.export.file_set_source import FileSetSource
    from airflow_provider_amplitude_segment.core.ledger.stream import Stream
    from airflow_provider_amplitude_segment.core.membership.membership import Membership

log = logging.getLogger(__name__)

_MOST_SHARE, _MOST_USERS = 0.05, 100


@dataclass(frozen=True, slots=True)
class FileSetReader:
    """Reads a run's set.

    Attributes:
        source: where it is.
        stream: whose cohort it is.
        scratch: an existing folder; the membership's Parquet file stays there.
        listed: the cohort's size in Amplitude's list when the set was chosen; ``None`` where Amplitude never computed
            it.
        properties: names of user properties to read too.
        destinations: how many the cohort is compared with; decides how much disk space an error asks for.
    """

    source: FileSetSource
    stream: Stream
    scratch: Path
    listed: int | None
    properties: tuple[str, ...] = ()
    destinations: int = 1

    def read(self, engine: Engine, set_id: str) -> Membership:
        """Return the members of a set.

        Raises:
            CohortFilesChangedError: the set is gone, or changed while it was read.
            CohortFilesMismatchError: the members do not have the size that Amplitude lists.
            CohortFileRefusedError: a file is damaged, or lacks a column.
            EngineError: the worker's disk or memory failed.
        """
        found = self.source.find(self.stream, set_id)
        room = sync_room(2 * sum(file.size for file in found.files.values()), self.destinations)
        with stating_room(lambda: room), engine.connect() as connection:
            try:
                file_bytes = sum(self._read_file(connection, kind, found.files[kind]) for kind in KINDS)
            finally:
                # A file that grows looks damaged, so this error comes before that one.
                self.source.find(self.stream, set_id)
            self._check_size(connection, found)
            membership = self._members(connection, file_bytes)
        log_counts(membership)
        return membership

    def _read_file(self, engine: duckdb.DuckDBPyConnection, kind: FileKind, listed: ListedFile) -> int:
        """Write a file's rows as Parquet, and return its size without gzip."""
        fetched, plain = self.scratch / f"{kind}.download", self.scratch / f"{kind}.csv"
        if not self.source.folder.fetch(listed.name, fetched):
            raise CohortFilesChangedError(self.stream.cohort_id, self.source.folder.place)
        with on_scratch(fetched):
            if fetched.stat().st_size != listed.size:
                raise CohortFilesChangedError(self.stream.cohort_id, self.source.folder.place)
        try:
            file_bytes = self._write_rows(engine, kind, fetched, plain)
        except ExportFileError as error:
            place = self.source.folder.place
            raise CohortFileRefusedError(self.stream.cohort_id, place, listed.name, error.fault) from None
        remove_scratch(fetched)
        remove_scratch(plain)
        log.info("Read %s: %s bytes", listed.name, f"{listed.size:,}")
        return file_bytes

    def _write_rows(self, engine: duckdb.DuckDBPyConnection, kind: FileKind, fetched: Path, plain: Path) -> int:
        to = self._rows(kind)
        # No other program announces the end of a file, so each must end with a line break.
        file = read_csv_file(fetched, plain, is_end_announced=False, is_empty_allowed=True)
        names = () if kind == "exiting" else self.properties
        if not file.names:
            nothing = "".join(f", NULL::VARCHAR AS {user_properties.column(name)}" for name in names)
            engine.execute(
                write_parquet(f"SELECT NULL::VARCHAR AS amplitude_id, NULL::VARCHAR AS user_id{nothing} LIMIT 0", to)
            )
            return 0
        amplitude_id = file.text_of(amplitude_id_column(file.names))
        user_id = id_column(file.text_of(file_user_id_column(file.names)))
        more = "".join(f", {property_text(file, name)} AS {user_properties.column(name)}" for name in names)
        file.write(
            engine,
            # A row without Amplitude's ID is known by its user ID; no ID of Amplitude's has a letter.
            f"""SELECT coalesce(nullif(trim({amplitude_id}), ''), 'user ' || user_id) AS amplitude_id, user_id{more}
            FROM (SELECT *, {user_id} FROM csv)""",
            lambda query: write_parquet(
                query, to, group_rows=user_properties.group_rows(self.properties), is_kept=False
            ),
        )
        return file.file_bytes

    def _check_size(self, engine: duckdb.DuckDBPyConnection, found: FileSet) -> None:
        existing, entering, exiting = (parquet_rows(self._rows(kind)) for kind in KINDS)
        columns = f"user_id{user_properties.listed(self.properties)}"
        # The tables that are built in memory are entering and exiting, which are small after a first sync; the engine
        # spills them otherwise.
        engine.execute(
            write_parquet(
                f"""SELECT {columns} FROM (
                    SELECT amplitude_id, {columns} FROM {entering}
                    UNION ALL
                    SELECT amplitude_id, {columns} FROM {existing} existing
                    WHERE NOT EXISTS (FROM {entering} entering WHERE entering.amplitude_id = existing.amplitude_id)
                ) member WHERE NOT EXISTS (FROM {exiting} exiting WHERE exiting.amplitude_id = member.amplitude_id)""",
                self.scratch / "exported.parquet",
                group_rows=user_properties.group_rows(self.properties),
                is_kept=False,
            )
        )
        (both,) = one_row(engine, f"SELECT count(*) FROM {entering} SEMI JOIN {exiting} USING (amplitude_id)")
        (alone,) = one_row(engine, f"SELECT count(*) FROM {existing}")
        (computed,) = one_row(engine, f"SELECT count(*) FROM {parquet_rows(self.scratch / 'exported.parquet')}")
        listed = self.listed
        most = max(_MOST_USERS, _MOST_SHARE * (listed or 0))
        if listed is None or abs(computed - listed) > most or both > most:
            raise CohortFilesMismatchError(
                self.stream.cohort_id, self.source.folder.place, found.stamp, listed, alone, computed, both
            )
        if both:
            log.warning("%s users are both in entering and in exiting; they count as exited.", f"{both:,}")
        _warn_of_size(found.stamp, listed, computed, alone)
        for kind in KINDS:
            remove_scratch(self._rows(kind))

    def _members(self, engine: duckdb.DuckDBPyConnection, file_bytes: int) -> Membership:
        return count_members(engine, self.scratch / "exported.parquet", self.properties, file_bytes)

    def _rows(self, kind: FileKind) -> Path:
        return self.scratch / f"{kind}.parquet"


def _warn_of_size(stamp: str, listed: int, computed: int, existing: int) -> None:
    """Warn where the size that is synced is allowed, and yet the other reading fits better, or none fits well."""
    off = abs(computed - listed)
    if off > _MOST_SHARE * listed or abs(existing - listed) < off:
        log.warning(
            "Amplitude lists %s users. In the set with stamp %s, existing + entering - exiting has %s users, which are "
            "synced, and existing alone has %s. If the difference stays, compare the cohort in Amplitude with a dry "
            "run through the API: existing may mean something else than the documents say.",
            f"{listed:,}",
            stamp,
            f"{computed:,}",
            f"{existing:,}",
        )
