"""A watcher makes an event of each change, over restarts and outages."""

from __future__ import annotations

import asyncio
import importlib
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import version
from itertools import pairwise
from typing import Any, cast

import pytest

from airflow_provider_amplitude_segment.core.export.cohort import Cohort
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeCredentialsError,
    AmplitudeUnavailableError,
    SettingError,
)
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.triggers import cohort_change
from airflow_provider_amplitude_segment.triggers.cohort_change import AmplitudeCohortChangeTrigger
from airflow_provider_amplitude_segment.triggers.cohort_list import CohortListPoll, read_list

HAS_WATCHERS = not version("apache-airflow").startswith("2.")
A, B = Cohort("a", "Fans", "1", 10, 1000.0), Cohort("b", "Lapsed", "1", 20, 1000.0)
EPOCH = 1_700_000_000.0
DOWN = AmplitudeUnavailableError("listing the cohorts", 503, "down")


@dataclass
class VirtualAmplitude:
    """Lists what a script says, one entry a poll, on a clock that only sleeping moves; then the test ends."""

    script: list[list[Cohort] | Exception]
    time: float = 0.0
    polled_at: list[float] = field(default_factory=list)

    async def read(self, _conn_id: str) -> tuple[Cohort, ...]:
        self.polled_at.append(self.time)
        if not self.script:
            raise asyncio.CancelledError
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return tuple(said)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        # Watchers of a shared poll take their list meanwhile.
        for _ in range(50):
            await asyncio.sleep(0)

    def poll(self, trigger: AmplitudeCohortChangeTrigger) -> CohortListPoll:
        return CohortListPoll(
            trigger.amplitude_conn_id,
            cast("float", trigger.poll_interval),
            self.read,
            self.sleep,
            lambda: self.time,
            self.epoch,
        )

    def epoch(self) -> float:
        return EPOCH + self.time


@pytest.fixture
def amplitude(monkeypatch: pytest.MonkeyPatch) -> VirtualAmplitude:
    """A virtual Amplitude; what a watcher does by itself is the same on each line, so 2.11 is taken for a later one."""
    virtual = VirtualAmplitude([])
    monkeypatch.setattr(AmplitudeCohortChangeTrigger, "_poll", lambda trigger: virtual.poll(trigger))  # noqa: PLW0108
    monkeypatch.setattr(cohort_change, "_HAS_WATCHERS", True)
    return virtual


class Store:
    """Airflow's store of one asset."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_down = False
        self.writes = 0

    async def aget(self, key: str) -> Any:
        if self.is_down:
            raise RuntimeError("a secret")
        return json.loads(self.values.get(key, "null"))

    async def aset(self, key: str, value: Any) -> None:
        if self.is_down:
            raise RuntimeError("a secret")
        self.writes += 1
        self.values[key] = json.dumps(value)


class Stores:
    """What Airflow gives a trigger: a store for each of its assets."""

    def __init__(self, *stores: Store) -> None:
        self._by_name = {str(number): store for number, store in enumerate(stores)}
        self._by_uri: dict[str, Store] = {}


def described(payload: dict[str, Any]) -> str:
    return f"{payload['cohort_id']}: {', '.join(payload['changed'])}"


def made(trigger: AmplitudeCohortChangeTrigger, store: Store | None = None) -> list[str]:
    """Run a watcher by itself until the script ends, and return its events."""
    events: list[str] = []
    if store is not None:
        trigger.asset_state_store = Stores(store)

    async def run() -> None:
        async for event in trigger.run():
            events.append(described(event.payload))  # noqa: PERF401 - a cancel ends it, and keeps these

    with suppress(asyncio.CancelledError):
        asyncio.run(run())
    return events


def test_a_watcher_makes_an_event_of_each_change_and_none_of_the_first_look(amplitude: VirtualAmplitude) -> None:
    new = replace(A, last_computed=2000.0)
    amplitude.script = [[A, B], [A, B], [new, replace(B, name="Gone")], [new, replace(B, name="Gone")]]

    assert made(AmplitudeCohortChangeTrigger()) == ["a: computed_at", "b: name"]
    assert amplitude.polled_at == [0, 300, 600, 900, 1200]


def test_a_watcher_of_one_cohort_makes_no_event_of_another(amplitude: VirtualAmplitude) -> None:
    amplitude.script = [[A, B], [replace(A, size=1), replace(B, size=1)]]

    assert made(AmplitudeCohortChangeTrigger(["b"])) == ["b: size"]


def test_a_restart_loses_and_repeats_no_event_where_airflow_keeps_the_state(amplitude: VirtualAmplitude) -> None:
    store = Store()
    amplitude.script = [[A, B], [replace(A, size=1), B]]
    assert made(AmplitudeCohortChangeTrigger(), store) == ["a: size"]

    amplitude.script = [[replace(A, size=1), replace(B, size=2)]]
    assert made(AmplitudeCohortChangeTrigger(), store) == ["b: size"]

    amplitude.script = [[replace(A, size=1), replace(B, size=2)]] * 3
    assert made(AmplitudeCohortChangeTrigger(), store) == []


def test_a_restart_looks_for_the_first_time_where_airflow_keeps_no_state(amplitude: VirtualAmplitude) -> None:
    for size in (1, 2):
        amplitude.script = [[replace(A, size=size)]]
        assert made(AmplitudeCohortChangeTrigger()) == []


def test_nothing_is_stored_while_nothing_changes(amplitude: VirtualAmplitude) -> None:
    store = Store()
    amplitude.script = [[A, B]] * 10

    made(AmplitudeCohortChangeTrigger(), store)

    assert store.writes == 1


def test_two_watchers_of_one_asset_keep_two_states(amplitude: VirtualAmplitude) -> None:
    store = Store()
    for cohort_ids in (["a"], ["b"]):
        amplitude.script = [[A, B]]
        made(AmplitudeCohortChangeTrigger(cohort_ids), store)

    assert len(store.values) == 2


def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one(amplitude: VirtualAmplitude) -> None:
    """Else the next list would be the first look, and the change that it shows would be lost."""
    store = Store()
    amplitude.script = [[A]]
    made(AmplitudeCohortChangeTrigger(), store)
    store.is_down = True
    read = amplitude.read

    async def read_and_mend(conn_id: str) -> tuple[Cohort, ...]:
        store.is_down = len(amplitude.polled_at) < 5
        return await read(conn_id)

    amplitude.read = read_and_mend  # type: ignore[method-assign]
    amplitude.script = [[replace(A, size=1)]] * 6

    assert made(AmplitudeCohortChangeTrigger(), store) == ["a: size"]


@pytest.mark.parametrize("error", [DOWN, AmplitudeCredentialsError(403), RuntimeError("a secret")])
def test_an_outage_is_waited_out_with_growing_gaps_and_logged_once(
    amplitude: VirtualAmplitude, error: Exception, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    amplitude.script = [[A], *[error] * 5, [replace(A, size=1)]]

    with caplog.at_level("INFO"):
        assert made(AmplitudeCohortChangeTrigger()) == ["a: size"]

    polled = amplitude.polled_at
    assert [end - begin for begin, end in pairwise(polled)] == [
        300,
        600,
        1200,
        2400,
        3600,
        3600,
        300,
    ]
    logged = caplog.text or capsys.readouterr().out
    assert logged.count("could not be listed") == 1
    assert logged.count("lists the cohorts again") == 1
    assert "a secret" not in logged
    assert "retries this task" not in logged
    if isinstance(error, AmplitudeCredentialsError):
        assert "Check API key, secret key and data region" in logged


def test_a_watcher_takes_over_a_key_that_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the connection at each poll."""
    with Sandbox.start(cohorts=[SandboxCohort("a", "Fans", ["ann"])]) as sandbox:
        connection = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_AMPLITUDE_DEFAULT"])
        monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT", json.dumps({**connection, "password": "wrong"}))
        with pytest.raises(AmplitudeCredentialsError):
            asyncio.run(read_list("amplitude_default"))
        monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT", json.dumps(connection))

        (cohort,) = asyncio.run(read_list("amplitude_default"))

    assert (cohort.cohort_id, cohort.size) == ("a", 1)
    assert sandbox.amplitude.exports_spent == 0


@pytest.mark.usefixtures("amplitude")
def test_a_trigger_is_made_again_from_what_it_says_of_itself() -> None:
    made_first = AmplitudeCohortChangeTrigger(("a", "b"), "amplitude_eu", 60, 1800)
    path, arguments = json.loads(json.dumps(made_first.serialize()))
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)

    assert again.serialize() == made_first.serialize()
    assert AmplitudeCohortChangeTrigger().serialize()[1] == {
        "cohort_ids": None,
        "amplitude_conn_id": "amplitude_default",
        "poll_interval": 300,
        "quiet_seconds": 0,
    }


@pytest.mark.usefixtures("amplitude")
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("cohort_ids", value) for value in ("26umsb5", [], [""], ["a", None], [1.5], [True], 26, {"a": 1})),
        *(("poll_interval", value) for value in (0, 0.5, 86_401, "often", None, True, [300], timedelta(0), 10**400)),
        *(("quiet_seconds", value) for value in (-1, 604_801, float("nan"), "", None, False, timedelta(days=8))),
    ],
)
def test_a_wrong_parameter_is_an_error_where_airflow_reads_the_dag_file(setting: str, value: Any) -> None:
    trigger = AmplitudeCohortChangeTrigger(**{setting: value})

    with pytest.raises(SettingError) as caught:
        trigger.serialize()
    assert caught.value.setting == setting


@pytest.mark.usefixtures("amplitude")
def test_equal_parameters_that_are_written_differently_make_one_trigger_and_one_poll() -> None:
    one = AmplitudeCohortChangeTrigger(["b", "a", "a"], poll_interval=timedelta(minutes=5), quiet_seconds="1800")  # type: ignore[arg-type]
    other = AmplitudeCohortChangeTrigger({"a", "b"}, poll_interval=300, quiet_seconds=timedelta(minutes=30))

    assert json.dumps(one.serialize()) == json.dumps(other.serialize())
    assert one.shared_stream_key() == other.shared_stream_key()


def test_a_watcher_whose_intervals_are_timedeltas_polls_on(amplitude: VirtualAmplitude) -> None:
    written = AmplitudeCohortChangeTrigger(
        ["a"], poll_interval=timedelta(minutes=1), quiet_seconds=timedelta(minutes=30)
    )
    computed = replace(A, last_computed=EPOCH + 7200)
    amplitude.script = [[A], DOWN, [computed], [replace(computed, size=11)]]
    amplitude.time = 7200

    assert made(AmplitudeCohortChangeTrigger(**written.serialize()[1])) == ["a: size"]
    assert amplitude.polled_at == [7200, 7260, 7380, 7440, 7500]


def test_the_export_of_the_run_that_an_event_starts_makes_no_event(amplitude: VirtualAmplitude) -> None:
    """Also not over a restart, and though Amplitude was down for so long that the event came an hour late."""
    store = Store()
    amplitude.script = [[A], [replace(A, last_computed=EPOCH + 60)]]
    amplitude.time = 3600
    assert made(AmplitudeCohortChangeTrigger(["a"], quiet_seconds=1800), store) == []

    amplitude.script = [
        [replace(A, last_computed=EPOCH + 7200)],
        [replace(A, last_computed=EPOCH + 10_900)],
        [replace(A, last_computed=EPOCH + 10_900)],
    ]
    amplitude.time = 10_800
    assert made(AmplitudeCohortChangeTrigger(["a"], quiet_seconds=1800), store) == ["a: computed_at"]
    amplitude.script = [[replace(A, last_computed=EPOCH + 11_000)], [replace(A, last_computed=EPOCH + 14_400)]]
    amplitude.time = 14_400
    assert made(AmplitudeCohortChangeTrigger(["a"], quiet_seconds=1800), store) == ["a: computed_at"]


def test_a_watched_cohort_that_is_not_listed_is_warned_of_once_each_time_it_goes_missing(
    amplitude: VirtualAmplitude, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    amplitude.script = [[A], [A], [A], [A, B], [A, B], [], [], [A, B]]

    with caplog.at_level("WARNING"):
        assert made(AmplitudeCohortChangeTrigger(["a", "b", "mistyped"])) == []

    logged = caplog.text or capsys.readouterr().out
    assert logged.count("does not list the watched cohorts b, mistyped.") == 1
    assert logged.count("does not list the watched cohorts a, b.") == 1
    assert logged.count("does not list") == 2


def test_a_time_ahead_of_the_clock_is_warned_of_once_and_the_next_true_one_makes_an_event(
    amplitude: VirtualAmplitude, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(A, last_computed=9e9)
    amplitude.script = [[A], [wrong], [wrong], [replace(A, last_computed=EPOCH + 900)]]

    with caplog.at_level("WARNING"):
        assert made(AmplitudeCohortChangeTrigger(["a"])) == ["a: computed_at"]

    logged = caplog.text or capsys.readouterr().out
    assert logged.count("the cohorts a were computed later than this machine's clock") == 1


def test_airflow_without_watchers_is_said_at_use_and_with_them_nothing_is() -> None:
    trigger = AmplitudeCohortChangeTrigger(["a"])
    if HAS_WATCHERS:
        assert trigger.serialize()[1]["cohort_ids"] == ["a"]
        return
    with pytest.raises(SettingError, match=r"no asset watchers.*Airflow 3\.0 or later"):
        trigger.serialize()
