"""What Segment's Public API says of a write key when a sync begins, and what the sync must make of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SourceDisabledError, WriteKeyError
from airflow_provider_amplitude_segment.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from faults.attempt import Attempt
    from faults.verdict import Finding
    from faults.world import World

PROVED, HIDDEN, DOWN, REFUSED = "write key proved", "write keys hidden", "Public API down", "Public API token refused"
WRONG, DISABLED = "wrong write key", "disabled source"
_REFUSING = (WRONG, DISABLED)


@dataclass(frozen=True, slots=True)
class SourceState:
    """What the Public API says: its kind, and the faults of the server that make it so."""

    kind: str
    faults: tuple[tuple[str, Fault], ...] = ()

    @property
    def is_refusing(self) -> bool:
        """Whether the sync must send nothing."""
        return self.kind in _REFUSING


class SourceChecks:
    """Draws what the Public API says, and holds against a sync what it made of it."""

    def __init__(self, random: Random, world: World) -> None:
        self._random = random
        self._world = world
        self._asked: set[str] = set()
        self.survived: list[str] = []
        self.findings: list[Finding] = []

    def draw(self, run_key: str) -> SourceState | None:
        """Draw the state for a try; ``None`` where its connection names no Public API.

        A run that has proved its key does not ask again, so what refuses a sync is drawn for new runs only.
        """
        draw = self._random
        if draw.random() < 0.5:
            return None
        is_new = run_key not in self._asked
        self._asked.add(run_key)
        kind = draw.choice((*5 * (PROVED,), HIDDEN, HIDDEN, DOWN, DOWN, REFUSED, WRONG, DISABLED))
        if kind in _REFUSING and not is_new:
            kind = PROVED
        if kind != DOWN:
            return SourceState(kind)
        down = draw.choice(
            (
                Fault(on="segment.public", status=503, times=30),
                Fault(on="segment.public", status=429, headers={"Retry-After": "1000"}, times=30),
                Fault(on="segment.public", reset=True, times=30),
                Fault(on="segment.public", status=500, after=draw.randint(0, 3), times=30),
            )
        )
        return SourceState(kind, ((DOWN, down),))

    @contextmanager
    def prevailing(self, attempt: Attempt) -> Iterator[None]:
        """Let an attempt go on in its state, and note what is wrong with how it went.

        It is in that state until it ends or is paused; who wakes later finds the source as it should be.
        """
        state = None if attempt.is_paused else attempt.source_state
        segment, amplitude = self._world.sandbox.segment, self._world.sandbox.amplitude
        before, asked_before = (segment.batches_received, amplitude.exports_spent), segment.public_api.requests
        self._set(state)
        try:
            yield
        finally:
            self._set(None)
        if state is None:
            return
        if state.is_refusing and (segment.batches_received, amplitude.exports_spent) != before:
            self.findings.append(("unproved", f"{attempt.process.name}: {state.kind}, and it sent or spent"))
        has_asked = segment.public_api.requests != asked_before
        self._judge(attempt, state, has_asked=has_asked)

    def _judge(self, attempt: Attempt, state: SourceState, *, has_asked: bool) -> None:
        name, met = attempt.process.name, attempt.process.met
        if isinstance(attempt.outcome, WriteKeyError | SourceDisabledError):
            expected = {WRONG: WriteKeyError, DISABLED: SourceDisabledError}.get(state.kind)
            if expected is None or not isinstance(attempt.outcome, expected):
                self.findings.append(("unproved", f"{name}: {state.kind}, and {attempt.outcome!r}"))
            self.survived.append(f"{state.kind} stopped a sync")
        elif attempt.has_succeeded:
            checked = attempt.sync.report.destination(self._world.proved.name).source_checked
            if state.is_refusing or checked is None:
                self.findings.append(("unproved", f"{name}: {state.kind}, and it succeeded, {checked}"))
            # A try that asks nothing goes by what an earlier one of its run kept: that the keys were hidden.
            if state.kind == PROVED and checked != "proved" and has_asked and not {"slow answer", "pause"} & set(met):
                self.findings.append(("unproved", f"{name}: {state.kind}, and {checked}"))
            self.survived.append(state.kind)

    def _set(self, state: SourceState | None) -> None:
        world, kind = self._world, state.kind if state else PROVED
        segment, source = world.sandbox.segment, world.source
        segment.public_api.sees_write_keys = kind != HIDDEN
        segment.public_api.forbidden = kind == REFUSED
        source.enabled = kind != DISABLED
        source.write_keys = [world.other_key if kind == WRONG else world.keys[world.proved]]
