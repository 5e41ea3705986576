"""Playing one history: a sandbox that this process keeps, and a folder that is gone afterwards."""

from __future__ import annotations

import functools
import logging
import tempfile
import threading
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.sandbox import Sandbox
from faults.history import History
from faults.process import Killed

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.tally import Tally
    from faults.world import World


class _Now:
    """The sandbox's clock: that of the history being played."""

    world: World | None = None

    def __call__(self) -> float:
        return self.world.time.seconds if self.world else 0.0


_NOW = _Now()


@functools.cache
def _sandbox() -> Sandbox:
    return Sandbox.start(clock=_NOW)


def play_history(seed: int, *, files: bool = False) -> History:
    """Play one history and return it; with ``files`` it surely has cohort files."""
    hook, threading.excepthook = threading.excepthook, _quiet_for_the_dead(threading.excepthook)
    try:
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            history = History(seed, _sandbox(), Path(folder), files=files)
            _NOW.world = history.world
            with closing(history.world):
                _play_to_its_end(history)
            return history
    finally:
        _NOW.world = None
        threading.excepthook = hook


def _play_to_its_end(history: History) -> None:
    try:
        history.play()
    except Exception:  # noqa: BLE001 - one history's crash must not hide the others, nor its own seed
        history.findings.append(("escaped", traceback.format_exc()))
        history.tally.findings.update(["escaped"])


def play_seed(seed: int, files: bool = False) -> tuple[int, Tally, str]:
    """Play one history; return its seed, its tally, and where something is wrong its steps and what differs.

    For a process that does nothing else: it keeps the package from logging.
    """
    logging.getLogger("airflow_provider_amplitude_segment").setLevel(logging.CRITICAL)
    history = play_history(seed, files=files)
    if not history.findings:
        return seed, history.tally, ""
    found = [f"{check}: {text}" for check, text in history.findings[:20]]
    return seed, history.tally, "\n".join([f"seed {seed}:", *history.log, *found])


def _quiet_for_the_dead(
    hook: Callable[[threading.ExceptHookArgs], object],
) -> Callable[[threading.ExceptHookArgs], object]:
    def report(failure: threading.ExceptHookArgs) -> None:
        # A dead process's renewal ends by being killed, too.
        if not isinstance(failure.exc_value, Killed):
            hook(failure)

    return report
