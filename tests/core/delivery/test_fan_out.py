"""The main thread, which Airflow's ``execution_timeout`` interrupts anywhere, only waits for the deliveries."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from airflow_provider_amplitude_segment.core.delivery.fan_out import deliver_in_parallel

WAITING = ("delivery/fan_out.py", "concurrent/futures/thread.py")


class Timeout(BaseException):
    """Airflow's execution_timeout."""


@contextmanager
def time_out_at(step: int) -> Iterator[None]:
    """Raise a time-out when the main thread has made so many calls and returns."""
    steps = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        # Python raises what a signal raises after a call, and never before one.
        if event != "c_call" and frame.f_code.co_filename.endswith(WAITING):
            steps += 1
            if steps == step:
                sys.setprofile(None)
                raise Timeout

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


class Work:
    """The work of one destination."""

    def __init__(self) -> None:
        self.began = self.ended = 0

    def deliver(self, report: str) -> tuple[str, None]:
        self.began += 1
        self.ended += 1
        return report, None


class LongWork(Work):
    """Work that goes on until it is asked to stop; the task's time is over meanwhile."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def deliver(self, report: str) -> tuple[str, None]:
        self.began += 1
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert self._stop.wait(20)
        self.ended += 1
        return report, None


def run(works: list[Any], stop: threading.Event) -> list[Any]:
    reports: list[Any] = [f"report {number}" for number, _ in enumerate(works)]
    return deliver_in_parallel(works, reports, stop)


@pytest.mark.parametrize("destinations", [1, 3])
def test_wherever_a_time_out_interrupts_it_no_delivery_is_at_work_afterwards(destinations: int) -> None:
    for step in range(1, 1_000):
        works = [Work() for _ in range(destinations)]
        try:
            with time_out_at(step):
                ended = run(works, threading.Event())
        except Timeout:
            began = [work.began for work in works]
            assert began == [work.ended for work in works]
            for thread in threading.enumerate():
                if thread.name.startswith("destination"):
                    thread.join(5)
            # What the time-out kept from beginning does not begin any more.
            assert began == [work.began for work in works]
        else:
            assert ended == [(f"report {number}", None) for number in range(destinations)]
            break

    assert step > 10


def test_a_time_out_while_it_waits_ends_the_delivery_in_its_own_way() -> None:
    def time_out(*_: object) -> None:
        raise Timeout

    stop = threading.Event()
    work = LongWork(stop)
    former = signal.signal(signal.SIGUSR1, time_out)
    try:
        with pytest.raises(Timeout):
            run([work], stop)
    finally:
        signal.signal(signal.SIGUSR1, former)

    assert work.began == work.ended == 1
