"""The weather: which faults a try meets, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.sandbox import Fault
from airflow_provider_amplitude_segment.sandbox.cohorts import Membership
from faults.process import Accident

if TYPE_CHECKING:
    from random import Random

    from airflow_provider_amplitude_segment.sandbox import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.faults import Point

_TARGETS = (
    ("claim", 1),
    ("list", 1),
    ("request", 1),
    ("record", 2),
    ("status", 2),
    ("download", 1),
    ("fetch", 2),
    ("file", 2),
    ("plan", 1),
    ("batch", 6),
    ("journal", 2),
    ("commit", 1),
    ("hint", 1),
    ("report", 1),
    ("forget", 1),
    ("prune", 4),
    ("look", 6),
    ("renewal", 1),
)
"""Kinds of steps, and of each the highest number that is aimed at."""

_BEFORE_TELLING = ("status", "download", "fetch", "file", "plan", "look")
"""Where an owner that is paused until another run has told has most to do wrong when it wakes."""

_ENDS = ("kill", "kill", "kill", "torn write", "execution time-out", "stop")
_PASSING = ("late batch", "late batch", "time-out after effect", "slow answer", "state path failed")
_FILES: tuple[Point, ...] = ("amplitude.file", "amplitude.storage")
_MOST_STEPS = 40
_WRONG_CLOCKS = (120.0, 3 * 3_600.0, 400 * 86_400.0, 400 * 86_400.0, -120.0, -3 * 3_600.0)
"""By how many seconds a worker's clock is ahead, where it is wrong."""
_LATER = (408, 410, 429, 460, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Weather:
    """What one try meets: accidents of its process, and faults of the servers by name."""

    accidents: tuple[Accident, ...] = ()
    faults: tuple[tuple[str, Fault], ...] = ()


def draw_weather(random: Random, places: list[str], now: float) -> Weather:
    """Draw what one try meets: mostly something."""
    accidents: list[Accident] = []
    if random.random() < 0.5:
        accidents.append(_aimed(random, "pause" if random.random() < 0.4 else random.choice(_ENDS), places))
    accidents += [_aimed(random, random.choice(_PASSING), places) for _ in range(random.choice((0, 0, 1, 1, 2)))]
    if random.random() < 0.05:
        accidents.append(_aimed(random, "state path failed late", places))
    faults = [_segment_fault(random, now) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))]
    faults += [_amplitude_fault(random) for _ in range(random.choice((0, 0, 0, 1, 2)))]
    return Weather(tuple(accidents), tuple(faults))


def draw_clock(random: Random) -> float:
    """Draw the seconds by which a worker's clock is ahead: mostly none."""
    return random.choice(_WRONG_CLOCKS) if random.random() < 0.12 else 0.0


def draw_more_faults(random: Random, cohort: SandboxCohort) -> tuple[tuple[str, Fault], ...]:
    """Draw whether a file's end is not announced, and whether it is cut then: at the end of a line, where it hurts."""
    if random.random() > 0.12:
        return ()
    file, times = random.choice(_FILES), random.choice((1, 1, 6))
    if random.random() < 0.3:
        return (("whole file without an announced end", Fault(on=file, cut_unannounced=True, times=times)),)
    lines = Membership.of(replace(cohort, gzip=False), None).file().splitlines(keepends=True)
    kept = sum(map(len, lines[: random.randint(1, max(1, len(lines) // 2))]))
    fault = Fault(on=file, cut_unannounced=True, cut_after_bytes=kept, times=times)
    return (("file cut without an announced end", fault),)


def _aimed(random: Random, what: str, places: list[str]) -> Accident:
    """Aim at any step, or at one of a kind; what happens in a step itself begins before it."""
    within = what in {*_PASSING, "state path failed late", "torn write"}
    after = not within and random.random() < 0.5
    if what in {"late batch", "time-out after effect"}:
        return Accident(what, random.randint(1, 4), "batch", place=random.choice(places))
    if what == "slow answer" and random.random() < 0.7:
        return Accident(what, random.randint(1, 3), "batch", place=random.choice(places))
    if what == "pause" and random.random() < 0.4:
        return Accident(what, random.randint(1, 2), random.choice(_BEFORE_TELLING), after)
    if random.random() < 0.5:
        kind, highest = random.choice(_TARGETS)
        return Accident(what, random.randint(1, highest), kind, after)
    return Accident(what, random.randint(1, _MOST_STEPS), None, after, random.choice([*places, "run"]))


def _segment_fault(random: Random, now: float) -> tuple[str, Fault]:
    after, status, times = random.randint(0, 5), random.choice(_LATER), random.randint(1, 3)
    seconds = {"Retry-After": str(random.choice((0, 1, 7, 90, 1000)))}
    date = {"Retry-After": formatdate(now + random.randint(1, 300), usegmt=True)}
    down = random.choice((3, 30))
    faults = (
        ("reset before effect", Fault(on="segment.batch", after=after, reset=True, times=times)),
        ("lost answer (reset)", Fault(on="segment.batch", after=after, reset=True, apply=True)),
        (f"lost answer ({status})", Fault(on="segment.batch", after=after, status=status, apply=True)),
        ("429 Retry-After seconds", Fault(on="segment.batch", after=after, status=429, headers=seconds)),
        ("429 Retry-After date", Fault(on="segment.batch", after=after, status=429, headers=date)),
        ("Segment down", Fault(on="segment.batch", after=after, status=503, times=down)),
        ("400 to a sound batch", Fault(on="segment.batch", after=after, status=400)),
        (f"refused for now ({status})", Fault(on="segment.batch", after=after, status=status)),
    )
    return random.choice(faults)


def _amplitude_fault(random: Random) -> tuple[str, Fault]:
    cut, file = random.choice((0, 10, 60)), random.choice(_FILES)
    applied, times = random.random() < 0.5, random.choice((1, 1, 6))
    unknown = b'{"async_status": "JOB SOMETHING"}'
    faults = (
        ("listing fails", Fault(on="amplitude.list", status=random.choice((429, 500, 503)), times=2)),
        ("listing reset", Fault(on="amplitude.list", reset=True)),
        ("export request lost", Fault(on="amplitude.request", apply=True, status=502)),
        ("export request reset", Fault(on="amplitude.request", reset=True, apply=applied)),
        ("export request 429", Fault(on="amplitude.request", status=429)),
        ("status fails", Fault(on="amplitude.status", status=random.choice((429, 500, 504)), times=2)),
        ("unknown status", Fault(on="amplitude.status", status=200, body=unknown)),
        ("cut download", Fault(on=file, cut_after_bytes=cut)),
        ("expired link", Fault(on="amplitude.storage", status=403, times=times)),
        ("file fails", Fault(on=file, status=random.choice((429, 500, 503)))),
    )
    return random.choice(faults)
