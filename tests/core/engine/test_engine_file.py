"""A path is a path: whatever the worker's temporary folder is called, a sync comes to the same."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from fakes import World

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.engine_file import csv_rows, parquet_rows, write_csv, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import make_scratch
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import EngineError

PACKAGE = Path(airflow_provider_amplitude_segment.__file__).parent
TRAIT = "Power Users (c1)"

NAMES = [
    "user_id=airflow",
    "trait=x",
    "value=false",
    "delivered=true",
    "in_doubt=true",
    "user_id=50000",
    "a*b",
    "a?b",
    "[x]",
    "{a,b}",
    "it's",
    "100%",
    "rejections=9/rows=3/file_row_number=1/p_706c616e=pro/name=x",
    "~/s3:/back\\slash/$HOME/é ☃/file.csv.gz",
]


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:03d}" for number in range(first, last)]


def live_through(world: World, scratch: Path) -> None:
    """Open every file that the engine ever opens: syncs, a rejected user, a dry run, going back, an erasure."""
    properties = ("plan",)
    stream = Stream("1234", "c1", world.destination())
    world.amplitude.properties = {user: {"plan": "pro"} for user in users(0, 100)}
    world.amplitude.cohort("c1", "Power Users", users(0, 300))
    world.segment.poisoned = {"user-007"}
    world.sync("c1", user_properties=properties, on_rejected="warn")
    world.segment.poisoned = set()
    world.amplitude.cohort("c1", "Power Users", users(20, 320))
    world.amplitude.properties["user-030"] = {"plan": "free"}
    world.sync("c1", dry_run=True)
    world.sync("c1", user_properties=properties)
    make_scratch(scratch / "back")
    roll_back(MaintenancePorts(world.store, world.run_named("back"), world.clock, scratch / "back"), stream, 1)
    world.clock.pass_by(60)
    world.sync("c1", user_properties=properties)
    make_scratch(scratch / "erased")
    erase_users(
        MaintenancePorts(world.store, world.run_named("erasure"), world.clock, scratch / "erased"), stream, ["user-319"]
    )
    world.clock.pass_by(60)
    world.amplitude.cohort("c1", "Power Users", users(20, 319))
    world.sync("c1", user_properties=properties, sync_mode="full")


@pytest.mark.parametrize("name", NAMES)
def test_segment_believes_the_same_whatever_the_scratch_folder_is_called(name: str, tmp_path: Path) -> None:
    world = World(tmp_path / name, own_engines=True)

    live_through(world, tmp_path / name)

    # The erased one is no business of the ledger's any more; Segment keeps what it was sent.
    assert world.segment.members(TRAIT) == set(users(20, 320))
    assert world.segment.former(TRAIT) == set(users(0, 20))
    assert {user for user in users(0, 320) if world.segment.traits(user).get("plan") == "pro"} == {
        *users(0, 7),
        *users(8, 30),
        *users(31, 100),
    }
    assert world.segment.traits("user-030") == {TRAIT: True, "plan": "free"}
    assert world.sync("c1", user_properties=("plan",)).destinations[0].planned == 0
    retired = world.retire("c1").destinations[0]
    assert (retired.planned, retired.committed) == (319, True)
    assert world.segment.members(TRAIT) == {"user-319"}


@pytest.mark.parametrize("pattern", ["a*b", "a?b", "a[X]b", "**"])
def test_the_files_of_another_folder_that_a_pattern_would_find_are_not_read(pattern: str, tmp_path: Path) -> None:
    for name, row in {"aXb": "not ours", pattern: "ours"}.items():
        (tmp_path / name).mkdir()
        with open_engine(tmp_path / name) as engine:
            engine.execute(write_parquet(f"SELECT '{row}' AS user_id", tmp_path / name / "members.parquet"))
            engine.execute(write_csv(f"SELECT '{row}' AS user_id", tmp_path / name / "members.csv"))

    with open_engine(tmp_path / pattern) as engine:
        for rows in (
            parquet_rows(tmp_path / pattern / "members.parquet"),
            csv_rows(tmp_path / pattern / "members.csv", ["c0"], 1000),
        ):
            assert engine.execute(f"FROM {rows}").fetchall() == [("ours",)]


@pytest.mark.parametrize("folder", ["linked", "//double", "up/../up"])
def test_a_scratch_folder_is_found_by_whatever_way_leads_to_it(folder: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "up").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    scratch = Path(f"/{tmp_path}") if folder == "//double" else tmp_path / folder

    with open_engine(scratch) as engine:
        engine.execute(write_parquet("SELECT 'ann' AS user_id", scratch / "members.parquet"))
        assert engine.execute(f"FROM {parquet_rows(scratch / 'members.parquet')}").fetchall() == [("ann",)]


@pytest.mark.parametrize("name", ["a*\\b", "\udcff"])
def test_a_folder_that_duckdb_cannot_read_is_named_before_anything_is_done(name: str, tmp_path: Path) -> None:
    """It would find no file there, or refuse the name with an error that is none of DuckDB's."""
    scratch = tmp_path / name / "amplitude-segment-x"

    with (
        pytest.raises(EngineError, match="DuckDB cannot read files below a folder of this name") as refused,
        open_engine(scratch),
    ):
        pass

    assert refused.value.folder == str(tmp_path / name).replace("\udcff", "?")


def test_the_engine_reaches_nothing_outside_of_its_scratch_folder(tmp_path: Path) -> None:
    """Not by a path, a scheme, an ending, or a name that a Python variable or an extension could stand in for."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    table = [1]

    def attempts() -> Iterator[str]:
        yield f"FROM read_csv('{tmp_path}/secret.csv')"
        yield f"FROM read_csv('{tmp_path}/scratch/../secret.csv')"
        yield f"COPY (SELECT 1 AS a) TO '{tmp_path}/written.csv' (FORMAT csv)"
        yield f"ATTACH '{tmp_path}/attached.db'"
        yield "FROM read_parquet('s3://bucket/x.parquet')"
        yield "FROM read_csv('https://127.0.0.1:9/x.csv')"
        yield f"FROM '{tmp_path}/scratch/x.xlsx'"
        yield "INSTALL httpfs"
        yield "LOAD spatial"
        yield "FROM table"
        yield "SET enable_external_access = true"

    for attempt in attempts():
        with pytest.raises(EngineError) as refused, open_engine(tmp_path / "scratch") as engine:
            engine.execute(attempt)
        assert refused.value.folder is None, attempt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "secret.csv"]
    assert table == [1]


READS_A_FILE = re.compile(
    r"\b(read_\w+|\w+_scan|parquet_\w+|sniff_csv|glob)\s*\(|\b(COPY|ATTACH|EXPORT|IMPORT|INSTALL|LOAD)\b"
    r"|(?<!DISTINCT )\bFROM\s+'"
)
METHODS = {
    "read_csv",
    "read_parquet",
    "read_json",
    "from_parquet",
    "from_csv_auto",
    "to_parquet",
    "to_csv",
    "write_csv",
}


def texts(module: ast.Module) -> Iterator[str]:
    """Yield the strings of a module but for its docstrings; a part that is put in stands as ``x``."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    bodies = [node.body for node in ast.walk(module) if isinstance(node, documented)]
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_other_module_puts_a_path_into_a_query_or_opens_an_engine() -> None:
    """A path is a ``Path``, and ``literal`` takes a ``str``, so the type checker holds the rest."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name, module = path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())
        calls = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
        if name.startswith("core/") and name != "core/engine/engine_file.py":
            found += [(name, text) for text in texts(module) if READS_A_FILE.search(text)]
            found += [(name, method) for method in calls & METHODS]
        if name != "core/engine/database.py":
            attributes = [ast.unparse(node) for node in ast.walk(module) if isinstance(node, ast.Attribute)]
            found += [(name, attribute) for attribute in attributes if attribute == "duckdb.connect"]
    assert found == []


def test_the_guard_against_other_readers_sees_them() -> None:
    written = (
        'def f():\n    """COPY this."""\n    return f"FROM read_parquet({x})", "COPY (x) TO y", "FROM \'x\'", "FROM x"'
    )

    found = {text for text in texts(ast.parse(written)) if READS_A_FILE.search(text)}

    assert found >= {"FROM read_parquet(x)", "COPY (x) TO y", "FROM 'x'"}
    assert not found & {"FROM x", "COPY this."}


def test_a_text_that_is_no_path_stays_a_literal(tmp_path: Path) -> None:
    """The trait key is the cohort's name, and may look like a path."""
    world = World(tmp_path, own_engines=True)
    world.amplitude.cohort("c1", "a*b/[x]/it's/user_id=airflow", ["ann"])

    world.sync("c1")

    assert world.segment.members("a*b/[x]/it's/user_id=airflow (c1)") == {"ann"}


def test_duckdb_still_takes_folders_for_columns_unless_it_is_told_not_to(tmp_path: Path) -> None:
    """What all this is against; without it, these tests would hold nothing."""
    file = tmp_path / "user_id=airflow" / "members.parquet"
    file.parent.mkdir()
    with duckdb.connect() as engine:
        engine.execute(write_parquet("SELECT 'ann' AS user_id", file))
        assert engine.execute(f"SELECT user_id FROM read_parquet('{file}')").fetchall() == [("airflow",)]
        assert engine.execute(f"SELECT user_id FROM {parquet_rows(file)}").fetchall() == [("ann",)]
