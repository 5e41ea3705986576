"""A process that a history plays: in a thread of its own, so that it can be paused while others are at work."""

from __future__ import annotations

import shutil
import threading
import time
from itertools import groupby
from typing import TYPE_CHECKING

import requests
from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from faults.process import Killed, TimedOut

if TYPE_CHECKING:
    from faults.process import Process
    from faults.wire import Wire
    from faults.world import World

_LONGEST_SECONDS = 60.0


class PlayedProcess:
    """One try of a task. ``outcome`` is what it returned or raised; ``None`` while it is paused."""

    def __init__(self, world: World, process: Process) -> None:
        self.process = process
        self.outcome: object = None
        self._world = world
        self._sessions: list[requests.Session] = []
        self._scratch = world.new_scratch()
        self._thread = threading.Thread(target=self._play, name=f"attempt {process.name}", daemon=True)
        process.own_thread = self._thread

    def go_on(self) -> bool:
        """Begin, or wake up; return once it has ended (``True``) or was paused (``False``)."""
        if self.process.is_paused:
            self.process.resume()
        else:
            self._thread.start()
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            self._thread.join(0.002)
            if not self._thread.is_alive():
                return True
            if time.monotonic() > deadline:
                self.process.die()
                self.outcome = AssertionError(f"{self.process.name} hangs")
                return True
            if self.process.is_paused:
                self.process.await_quiet()
                return False

    @property
    def is_paused(self) -> bool:
        return self.process.is_paused

    @property
    def escaped(self) -> BaseException | None:
        """What came out that is none of our errors, and no accident either."""
        known = (AmplitudeSegmentError, Killed, TimedOut)
        return self.outcome if isinstance(self.outcome, BaseException) and not isinstance(self.outcome, known) else None

    def __str__(self) -> str:
        """Say how it ended, for the history's steps."""
        ended = f"{type(self.outcome).__name__}" if self.outcome is not None else "paused"
        if isinstance(self.outcome, AmplitudeSegmentError):
            ended += f" ({str(self.outcome)[:90]})"
        counted = [(step, len(list(same))) for step, same in groupby(self.process.steps)]
        steps = " ".join(step if count == 1 else f"{count}*{step}" for step, count in counted)
        return f"{self.process.name}: {steps} -> {ended}"

    def work(self) -> object:
        """Do the task's work, in its own thread."""
        raise NotImplementedError

    def session(self, wire: Wire, login: str | None = None, password: str = "") -> requests.Session:
        """Return a session on a wire, which is closed when the process ends."""
        session = requests.Session()
        session.trust_env = False
        session.auth = HTTPBasicAuth(login, password) if login else None
        session.mount("http://", wire)
        self._sessions.append(session)
        return session

    def _play(self) -> None:
        try:
            self.outcome = self.work()
        except BaseException as error:  # noqa: BLE001 - how it ended is looked at by the history
            self.outcome = error
        finally:
            for session in self._sessions:
                session.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
