"""Read Amplitude's file into a membership: the distinct user IDs of a cohort, each kept to the last character.

A user ID is an opaque string: ``007``, ``NULL``, a line break, white space at either end and either Unicode form of é
are different, valid IDs. A row whose user ID is empty or only white space is an anonymous user: counted, never sent.
``core.membership.csv_file`` says what the file looks like, and refuses one that is damaged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import remove_scratch
from airflow_provider_amplitude_segment.core.membership.csv_file import property_column, read_csv_file, user_id_column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

log = logging.getLogger(__name__)

# White space as Python's str.isspace() defines it, in RE2's syntax.
_BLANK = r"[\p{Z}\t-\r\x1c-\x1f\x{85}]*"


@dataclass(frozen=True, slots=True)
class Membership:
    """The users who are in the cohort, by one export.

    Attributes:
        path: Parquet with the column ``user_id``, distinct and never empty, in no order.
        rows: rows of the file, without its header.
        members: distinct user IDs.
        anonymous: rows without a user ID.
        duplicates: rows that repeat a user ID.
        properties: Parquet with ``user_id`` and a column for each user property, text or NULL; ``None`` where none
            were requested. A member whose properties are too long for Segment is missing in it.
        property_names: of those columns.
        too_long: members who are missing in it.
        file_bytes: size of the inflated file.
    """

    path: Path
    rows: int
    members: int
    anonymous: int
    duplicates: int
    properties: Path | None = None
    property_names: tuple[str, ...] = ()
    too_long: int = 0
    file_bytes: int = 0

    def counts(self) -> dict[str, Any]:
        """Return its counts by the report's names."""
        return {"rows": self.rows, "members": self.members, "anonymous": self.anonymous, "duplicates": self.duplicates}


def empty_membership(engine: duckdb.DuckDBPyConnection, scratch: Path) -> Membership:
    """Return a membership without members; its file is written to ``scratch``."""
    path = scratch / "empty.parquet"
    engine.execute(write_parquet("SELECT NULL::VARCHAR AS user_id WHERE false", path))
    return Membership(path, rows=0, members=0, anonymous=0, duplicates=0)


def read_membership(
    engine: duckdb.DuckDBPyConnection,
    export_file: Path,
    scratch: Path,
    properties: Sequence[str] = (),
    *,
    is_end_announced: bool = True,
) -> Membership:
    """Read an export's file, gzip or not, into distinct user IDs.

    Args:
        engine: a DuckDB connection.
        export_file: the file as Amplitude sent it.
        scratch: an existing folder; ``cohort.csv`` and ``members.parquet`` are written there.
        properties: names of user properties to read too, each a column of the file.
        is_end_announced: whether a cut is an error already; where not, the file must end with a line break.

    Raises:
        ExportFileError: the file is not a cohort of users, or lacks a property; names the fault, never a row's text.
        ExportCutOffError: the file ends early.
    """
    file = read_csv_file(export_file, scratch / "cohort.csv", is_end_announced=is_end_announced)
    user_id = file.text_of(user_id_column(file.names))
    columns = {name: file.text_of(property_column(file.names, name)) for name in properties}
    path, exported = scratch / "members.parquet", scratch / "exported.parquet"
    if columns:
        more = "".join(f", nullif({text}, '') AS {user_properties.column(name)}" for name, text in columns.items())
        write = partial(write_parquet, to=exported, group_rows=user_properties.group_rows(properties))
        file.write(engine, f"SELECT {id_column(user_id)}{more} FROM csv", write)
    else:
        write = partial(write_parquet, to=path, is_kept=False)
        file.write(engine, f"SELECT {id_column(user_id)}, count(*) AS rows FROM csv GROUP BY 1", write)
    remove_scratch(file.path)
    if columns:
        return count_members(engine, exported, properties, file.file_bytes)
    return _counted(engine, path, file.file_bytes)


def count_members(
    engine: duckdb.DuckDBPyConnection, exported: Path, properties: Sequence[str], file_bytes: int
) -> Membership:
    """Return the membership of rows with ``user_id`` and user properties; their file is removed.

    Args:
        engine: a DuckDB connection.
        exported: Parquet of the rows; ``user_id`` is NULL for an anonymous user.
        properties: names of the user properties.
        file_bytes: of the inflated files that they come from.
    """
    path = exported.with_name("members.parquet")
    counted = f"SELECT user_id, count(*) AS rows FROM {parquet_rows(exported)} GROUP BY 1"
    engine.execute(write_parquet(counted, path, is_kept=False))
    membership = _counted(engine, path, file_bytes)
    if properties:
        return _with_properties(engine, membership, exported, properties)
    remove_scratch(exported)
    return membership


def _counted(engine: duckdb.DuckDBPyConnection, path: Path, file_bytes: int) -> Membership:
    rows, members, anonymous = one_row(
        engine,
        f"""SELECT coalesce(sum(rows), 0)::BIGINT, count(user_id),
                   coalesce(sum(rows) FILTER (user_id IS NULL), 0)::BIGINT
            FROM {parquet_rows(path)}""",
    )
    return Membership(path, rows, members, anonymous, rows - anonymous - members, file_bytes=file_bytes)


def _with_properties(
    engine: duckdb.DuckDBPyConnection, membership: Membership, exported: Path, properties: Sequence[str]
) -> Membership:
    """Add each member's properties from the export's rows, and remove the file of those rows.

    Amplitude repeats a user ID after users were merged, in no documented order, so the greatest text of each property
    is taken. Only repeated users are grouped, because an aggregate of texts stays in memory as a whole.
    """
    path = exported.with_name("properties.parquet")
    greatest = "".join(f", max({c}) AS {c}" for c in map(user_properties.column, properties))
    engine.execute(
        write_parquet(
            f"""WITH exported AS (FROM {parquet_rows(exported)} WHERE user_id IS NOT NULL),
            repeated AS (SELECT user_id FROM {parquet_rows(membership.path)} WHERE rows > 1)
            FROM (
                SELECT user_id{user_properties.listed(properties)} FROM exported ANTI JOIN repeated USING (user_id)
                UNION ALL
                SELECT user_id{greatest} FROM exported SEMI JOIN repeated USING (user_id) GROUP BY user_id
            ) WHERE {user_properties.encoded_bytes(properties)} <= {user_properties.MAX_BYTES}""",
            path,
            group_rows=user_properties.group_rows(properties),
        )
    )
    remove_scratch(exported)
    (known,) = one_row(engine, f"SELECT count(*) FROM {parquet_rows(path)}")
    return replace(
        membership, properties=path, property_names=tuple(properties), too_long=membership.members - int(known)
    )


def id_column(text: str) -> str:
    """Return the SQL expression of the column ``user_id``: NULL for an anonymous user."""
    return f"CASE WHEN regexp_full_match({text}, '{_BLANK}') THEN NULL ELSE {text} END AS user_id"


def log_counts(membership: Membership) -> None:
    """Log what an export, or a set of cohort files, has."""
    log.info(
        "The export has %s rows: %s members, %s anonymous (skipped), %s duplicates",
        *(f"{n:,}" for n in (membership.rows, membership.members, membership.anonymous, membership.duplicates)),
    )
    if membership.too_long:
        log.warning(
            "%s members have user properties of more than %s bytes, the most that is sent beside the trait. They are "
            "sent without their user properties and keep those that were delivered before.",
            f"{membership.too_long:,}",
            f"{user_properties.MAX_BYTES:,}",
        )
