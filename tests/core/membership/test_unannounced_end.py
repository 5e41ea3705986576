"""A file whose end nothing announced is taken only where its rows fit the size that Amplitude lists."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import World

from airflow_provider_amplitude_segment.exceptions import ExportCutOffError

TRAIT = "Power Users (c1)"
ROW = len('"0000","user-000000"\n')


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


@pytest.fixture
def behind_a_proxy(world: World) -> World:
    """2,000 members are known to Segment; from now on nothing announces where a file ends."""
    world.amplitude.cohort("c1", "Power Users", users(0, 2_000))
    world.sync("c1")
    world.amplitude.announces_ends = False
    return world


def cut_behind_row(world: World, rows: int) -> None:
    """Let files end behind so many rows, whose numbers have one to four digits."""
    header, numbers = len('"amplitude_id","user_id"\n'), sum(len(str(n)) - 4 for n in range(rows))
    world.amplitude.cut_after_bytes = header + rows * ROW + numbers


def test_a_cut_at_the_end_of_a_line_is_refused_and_the_retry_takes_the_whole_file(behind_a_proxy: World) -> None:
    world = behind_a_proxy
    cut_behind_row(world, 1_598)

    with pytest.raises(ExportCutOffError, match=r"1,598 rows, Amplitude lists 2,000 users") as refused:
        world.sync("c1", run="daily")
    assert refused.value.retryable
    assert refused.value.request_id == "export-2"
    assert world.segment.members(TRAIT) == set(users(0, 2_000))

    world.amplitude.cut_after_bytes = None
    report = world.sync("c1", run="daily")
    assert (report.rows, report.destinations[0].unchanged) == (2_000, 2_000)
    assert world.segment.members(TRAIT) == set(users(0, 2_000))
    assert world.amplitude.exports_spent == 2


def test_a_whole_file_is_taken_while_its_rows_fit_the_listed_size(behind_a_proxy: World) -> None:
    """An export computes anew, so the cohort may have changed since its size was listed."""
    world = behind_a_proxy
    listed = world.amplitude.cohorts["c1"]
    world.amplitude.cohort("c1", "Power Users", users(60, 2_000))
    world.amplitude.cohorts["c1"] = listed

    report = world.sync("c1")

    assert (report.cohort_size, report.rows, report.destinations[0].exited) == (2_000, 1_940, 60)
    assert world.segment.members(TRAIT) == set(users(60, 2_000))


@pytest.mark.parametrize("listed", [None, 0, 40, 1_000])
def test_a_size_that_is_unknown_or_old_vouches_for_no_file(behind_a_proxy: World, listed: int | None) -> None:
    """A listed size that is too small shows only that it is old: how many rows are missing is not known."""
    world = behind_a_proxy
    world.amplitude.cohorts["c1"] = replace(world.amplitude.cohorts["c1"], size=listed)

    with pytest.raises(ExportCutOffError, match="did not say where the file ends"):
        world.sync("c1")
    assert world.segment.members(TRAIT) == set(users(0, 2_000))


def members_of_gzip(*ids: range) -> list[bytes]:
    """A file of several gzip members, as a writer makes it that appends: each by itself is a gzip file."""
    header = '"amplitude_id","user_id"\n'
    rows = ["".join(f'"{number}","user-{number:06d}"\n' for number in numbers) for numbers in ids]
    return [gzip.compress((header + part if not index else part).encode()) for index, part in enumerate(rows)]


def test_a_compressed_file_that_is_cut_between_two_of_its_members_is_refused(
    behind_a_proxy: World, tmp_path: Path
) -> None:
    """What is left is a whole gzip file, and nothing in it says that more should come."""
    world = behind_a_proxy
    first, second = members_of_gzip(range(1_000), range(1_000, 2_000))
    world.amplitude.files["export-2"] = tmp_path / "file.csv.gz"
    world.amplitude.files["export-2"].write_bytes(first + second)
    world.amplitude.cut_after_bytes = len(first)

    with pytest.raises(ExportCutOffError, match=r"1,000 rows, Amplitude lists 2,000 users"):
        world.sync("c1", run="daily", max_exit_ratio=None)

    world.amplitude.cut_after_bytes = None
    assert world.sync("c1", run="daily").rows == 2_000
    assert world.segment.members(TRAIT) == set(users(0, 2_000))
    assert world.amplitude.exports_spent == 2


def test_a_compressed_file_is_cut_off_where_a_member_ends_inside_a_line(behind_a_proxy: World, tmp_path: Path) -> None:
    world = behind_a_proxy
    (whole,) = members_of_gzip(range(2_000))
    text = gzip.decompress(whole)
    world.amplitude.files["export-2"] = tmp_path / "file.csv.gz"
    world.amplitude.files["export-2"].write_bytes(gzip.compress(text[:-2]) + gzip.compress(text[-2:]))
    world.amplitude.cut_after_bytes = len(gzip.compress(text[:-2]))

    with pytest.raises(ExportCutOffError, match="ends inside a"):
        world.sync("c1")


@pytest.mark.parametrize("kept", [-1, 40])
def test_a_compressed_file_that_is_cut_inside_a_member_is_refused_whatever_its_size(
    behind_a_proxy: World, tmp_path: Path, kept: int
) -> None:
    world = behind_a_proxy
    (content,) = members_of_gzip(range(2_000))
    world.amplitude.files["export-2"] = tmp_path / "file.csv.gz"
    world.amplitude.files["export-2"].write_bytes(content[:kept])

    with pytest.raises(ExportCutOffError, match="gzip stream ends early"):
        world.sync("c1", max_exit_ratio=None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'"amplitude_id"',
        b'"amplitude_id","user_id"',
        b'"amplitude_id","user_id"\n"1"',
        b'"amplitude_id","user_id"\n"1",',
        b'"amplitude_id","user_id"\n"1","a"',  # of "a""b"
    ],
)
def test_a_file_that_ends_inside_a_line_is_cut_off_and_never_another_fault(
    behind_a_proxy: World, tmp_path: Path, content: bytes
) -> None:
    """What is left may be well formed and say something else: no header, another column, another user."""
    world = behind_a_proxy
    world.amplitude.cohorts["c1"] = replace(world.amplitude.cohorts["c1"], size=1)
    world.amplitude.files["export-2"] = tmp_path / "file.csv"
    world.amplitude.files["export-2"].write_bytes(content)

    with pytest.raises(ExportCutOffError, match="ends inside a line"):
        world.sync("c1", max_exit_ratio=None, on_empty_cohort="sync")
    assert world.segment.members(TRAIT) == set(users(0, 2_000))
