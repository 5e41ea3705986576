"""The user IDs of all measurements: as long and as mixed as real ones, the same in every run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# 24 to 32 characters, in no order: the length of a MongoDB ObjectId up to that of a UUID without hyphens.
_USER_ID = "md5('user ' || number)[1:24 + (number % 9)::INTEGER]"


def write_ids(folder: Path, members: int, *, first: int = 0) -> Path:
    """Write ``members`` distinct user IDs as Parquet, unless they are there; return the file.

    Those of a smaller number are the first ones of a greater.

    Args:
        folder: where measurements keep what they share.
        members: how many.
        first: number of the first one, to leave some out.
    """
    path = folder / f"ids-{first}-{members}.parquet"
    if not path.exists():
        _copy(
            f"SELECT {_USER_ID} AS user_id FROM range({first}, {first + members}) ids(number)", path, "FORMAT parquet"
        )
    return path


def write_export(folder: Path, members: int, *, first: int = 0, properties: Sequence[str] = ()) -> Path:
    """Write the same users as Amplitude exports them: CSV, every field quoted; a property has 20 characters."""
    path = folder / f"export-{first}-{members}-{len(properties)}.csv"
    more = "".join(f", md5(number || ' {name}')[1:20] AS \"{name}\"" for name in properties)
    if not path.exists():
        _copy(
            f"""SELECT (400000000000 + number)::VARCHAR AS amplitude_id, {_USER_ID} AS user_id{more}
                FROM range({first}, {first + members}) ids(number)""",
            path,
            "FORMAT csv, HEADER true, FORCE_QUOTE *",
        )
    return path


def write_file_set(folder: Path, members: int, *, moved: int = 0) -> Path:
    """Write the users as a set of cohort files, old enough to be complete; return the set's folder.

    Without ``moved`` all of them enter. Otherwise the first ``moved`` exit, and as many enter.
    """
    place = folder / f"files-{moved}-{members}"
    if not place.exists():
        place.mkdir()
        ranges = {"existing": (0, members if moved else 0), "exiting": (0, moved)}
        ranges["entering"] = (members, members + moved) if moved else (0, members)
        for kind, (first, end) in ranges.items():
            # The set with changes is the newer one, and its exiting users are in existing still.
            path = place / f"1_bench_2026-11-23T{5 if moved else 4:02}:00_{kind}.csv"
            _copy(
                f"""SELECT (400000000000 + number)::VARCHAR AS "amplitudeID", {_USER_ID} AS "userID"
                    FROM range({first}, {end}) ids(number)""",
                path,
                "FORMAT csv, HEADER true, FORCE_QUOTE *",
            )
            long_ago = path.stat().st_mtime - (120 if moved else 3600)
            os.utime(path, (long_ago, long_ago))
    return place


def write_lines(folder: Path, members: int) -> Path:
    """Write the same users one a line."""
    path = folder / f"ids-{members}.txt"
    if not path.exists():
        _copy(f"SELECT {_USER_ID} FROM range({members}) ids(number)", path, "FORMAT csv, HEADER false")
    return path


def _copy(query: str, path: Path, options: str) -> None:
    with duckdb.connect() as engine:
        engine.execute(f"COPY ({query}) TO '{path}' ({options})")
