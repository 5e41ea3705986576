"""What the harness measures is the package's whole work, and nothing of it is lost on the way to a figure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.growth import CHURNED, FIRST, UNCHANGED, sync_thrice
from benchmarks.pace import seen_pace
from benchmarks.subject import run_program
from benchmarks.targets import judge
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBERS = 3_000


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with Workbench() as opened:
        yield opened


def test_a_plan_is_sent_to_its_end_as_often_as_it_is_measured(bench: Workbench) -> None:
    for _ in range(2):
        measured = bench.deliver_plan(MEMBERS)
        arrived = bench.sink.arrivals()

        assert measured.reported["acknowledged"] == arrived.identifies == MEMBERS
        assert 0 < measured.seconds <= measured.reported["whole_seconds"]
        assert measured.memory_peak_mib > measured.memory_added_mib > 0


def test_an_idle_task_has_nothing_of_a_sync_in_its_memory(bench: Workbench) -> None:
    """But for what Airflow 3 reads of every provider that is installed."""
    modules = bench.idle_task().reported["modules"]

    assert "airflow" in modules
    assert not {"duckdb", "fakes"} & set(modules)
    ours = {name for name in modules if name.startswith("airflow_provider_amplitude_segment.")}
    assert ours <= {"airflow_provider_amplitude_segment.get_provider_info"}


def test_whole_syncs_send_all_members_then_none_then_the_changes(bench: Workbench) -> None:
    measured = sync_thrice(bench, MEMBERS, 1)

    sent = {work: counted["identifies"] for work, (_, counted) in measured.items()}
    assert sent == {FIRST: MEMBERS, UNCHANGED: 0, CHURNED: MEMBERS * 0.05}


def test_what_a_child_process_holds_and_spends_is_counted() -> None:
    child = "import time\nheld = bytearray(200 << 20)\nwhile time.process_time() < 1: pass"
    parent = (
        "import subprocess, sys\n"
        "from benchmarks.stopwatch import Stopwatch\n"
        f"with Stopwatch() as stopwatch: subprocess.run([sys.executable, '-c', {child!r}])\n"
        "stopwatch.report()"
    )

    measured = run_program([sys.executable, "-c", parent], {})

    assert measured.memory_peak_mib > measured.memory_added_mib > 195
    assert measured.processor_seconds >= 1


def test_a_window_of_ten_seconds_counts_what_stands_at_either_end_once() -> None:
    even = [(number / 4, 250) for number in range(81)]

    assert seen_pace(even) == {"first_second": 1000, "least": 1000.0, "most": 1000.0}


def test_a_batch_that_comes_early_is_seen_in_the_first_second_and_in_the_window() -> None:
    early = [(number / 4 - (0.01 if number else 0.0), 250) for number in range(81)]

    assert seen_pace(early) == {"first_second": 1250, "least": 1000.0, "most": 1025.0}


def test_a_target_that_is_missed_is_shown_as_missed() -> None:
    def row(name: str, rate: float) -> dict[str, object]:
        figures = {"identifies_per_second": rate, "processor_seconds_per_million": 5.0}
        return {"name": name, "median": figures, "repeats": [figures]}

    speed = [
        row("ours, client level", 300.0),
        row("segment-analytics-python", 10.0),
        row("limit, 1 thread", 500.0),
        row("limit, 4 threads", 400.0),
    ]

    assert [target.met for target in judge({"speed": speed})] == [True, True, False]
