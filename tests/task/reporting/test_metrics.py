"""Metrics count what a try did, however often a sync is tried."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Stats
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox
from airflow_provider_amplitude_segment.task.reporting.metrics import count_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIVERED = DestinationReport(
    "segment_default", "dst-1", "incremental", "T", entered=5, planned=5, acknowledged=5, committed=True, known=5
)


class Counted:
    """A backend of Airflow's metrics that adds up."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}

    def incr(self, stat: str, count: int = 1, **_: Any) -> None:
        name = stat.removeprefix("amplitude_segment.")
        self.counters[name] = self.counters.get(name, 0) + count

    def gauge(self, stat: str, value: float, **_: Any) -> None:
        self.gauges[stat.removeprefix("amplitude_segment.")] = value

    def timing(self, stat: str, dt: Any, **_: Any) -> None: ...


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Take the place of Airflow's ``Stats``, whose own way to a backend is another test's."""
    backend = Counted()
    for name in ("incr", "gauge", "timing"):
        monkeypatch.setattr(Stats, name, getattr(backend, name), raising=False)
    return backend


def test_a_retry_counts_only_what_it_did(counted: Counted, sandbox: Sandbox, sync: Sync) -> None:
    """The first try delivers to one destination, and its retry to the other one."""
    both: dict[str, Any] = {"segment_conn_id": ["segment_default", "segment_emea"]}
    sandbox.faults.add(Fault(on="segment.batch", status=501))
    with pytest.raises(Exception, match="501"):
        sync(FakeTaskInstance("run"), **both)

    sync(FakeTaskInstance("run", try_number=2), **both)

    assert counted.counters["entered"] == 4
    assert counted.counters["acknowledged"] == 4
    assert (counted.counters["syncs_failed"], counted.counters["syncs_succeeded"]) == (1, 1)


def test_a_plan_that_is_gone_on_with_counts_the_rest(counted: Counted) -> None:
    report_at_start = SyncReport("c1", destinations=(replace(DELIVERED, acknowledged=2, committed=False, known=None),))

    count_sync(SyncReport("c1", destinations=(DELIVERED,)), report_at_start, ending="succeeded")

    assert (counted.counters["entered"], counted.counters["acknowledged"]) == (5, 3)


def test_what_an_earlier_try_committed_is_not_counted_again(counted: Counted) -> None:
    report = SyncReport("c1", destinations=(DELIVERED,))

    count_sync(report, report, ending="succeeded")

    assert counted.counters == {"syncs_succeeded": 1}


def test_a_try_that_came_to_no_plan_leaves_what_is_pending_as_it_was_told_last(
    counted: Counted, sandbox: Sandbox, sync: Sync
) -> None:
    """An alert on it must not clear itself."""
    sandbox.faults.add(Fault(on="segment.batch", status=501))
    with pytest.raises(Exception, match="501"):
        sync(FakeTaskInstance("run"))
    sandbox.faults.add(Fault(on="amplitude.list", status=403, times=9))

    with pytest.raises(Exception, match="403"):
        sync(FakeTaskInstance("run", try_number=2))

    assert counted.gauges["pending"] == 2
    assert counted.counters["syncs_failed"] == 2


def test_a_dry_run_counts_as_a_sync_and_nothing_else(counted: Counted, sync: Sync) -> None:
    sync(dry_run=True)

    assert (counted.counters, counted.gauges) == ({"syncs_succeeded": 1}, {})


def test_a_backend_that_fails_fails_no_sync(
    monkeypatch: pytest.MonkeyPatch, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr(Stats, "incr", fail, raising=False)

    assert sync()["destinations"][0]["committed"]
    assert "Metrics could not be published: OSError" in caplog.text


def test_exports_left_are_told_where_amplitude_was_asked_anyway(counted: Counted, sandbox: Sandbox, sync: Sync) -> None:
    sync(FakeTaskInstance("first"), min_exports_left=1)
    left = counted.gauges.pop("exports_left")

    sync(FakeTaskInstance("second"))

    assert left == sandbox.amplitude.monthly_limit
    assert "exports_left" not in counted.gauges


def test_events_are_counted_by_the_try_that_sent_them(counted: Counted, sandbox: Sandbox, sync: Sync) -> None:
    """The first try sends the identifies and no event, and its retry the events."""
    sandbox.faults.add(Fault(on="segment.batch", status=501, after=1))
    with pytest.raises(Exception, match="501"):
        sync(FakeTaskInstance("run"), events=True, events_on_first_sync=True)
    assert (counted.counters["acknowledged"], counted.counters.get("events_acknowledged")) == (2, None)

    sync(FakeTaskInstance("run", try_number=2), events=True, events_on_first_sync=True)

    assert (counted.counters["acknowledged"], counted.counters["events_acknowledged"]) == (2, 2)
