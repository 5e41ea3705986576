"""How many threads work, so that a thread that is interrupted can wait for the last of them.

A pool does not wait for a thread that it was about to start when a time-out interrupted it.
"""

from __future__ import annotations

import threading


class Busy:
    """A context manager around what a thread does; several threads are in it at a time.

    >>> busy = Busy()
    >>> with busy:
    ...     pass
    >>> busy.wait_for_end()
    """

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        """Count the caller's thread."""
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        """Count it no more."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_end(self) -> None:
        """Wait until no thread is in it. The caller has seen to it that one that comes later does nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)
