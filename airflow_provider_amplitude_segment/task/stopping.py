"""Let Airflow stop the delivery of a running task."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.clock import Clock


class StoppableMixin:
    """Adds ``on_kill`` to an operator; ``task.execution`` sets ``stop_event`` while a delivery runs."""

    # Not set earlier, because Airflow copies operators while it parses and an event cannot be copied.
    stop_event: threading.Event | None = None
    clock: Clock | None = None
    """What a task waits by; ``None`` is the worker's own. A test sets another, and so waits for no real time."""

    def on_kill(self) -> None:
        """Stop after the batches in flight. The ledger stays correct without this stop too."""
        if self.stop_event is not None:
            # In a thread, because Airflow calls this in a signal handler, whose thread may hold the event's lock.
            threading.Thread(target=self.stop_event.set, daemon=True).start()
