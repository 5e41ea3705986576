"""Wait for an export of a cohort without a worker slot.

Blocking calls leave the triggerer's loop only through ``sync_to_async``. All triggers of a triggerer share one channel
to Airflow, which looks up connections and masks secrets. Airflow 3.0 and 3.1 lock it in the loop only: a look-up from a
thread that asgiref did not start breaks the channel, and with it every trigger of the triggerer
(``TriggerCommsDecoder`` in ``airflow/jobs/triggerer_job_runner.py``).

A triggerer also shares its threads: plain ``sync_to_async`` has one for all look-ups, and a loop has one pool for the
rest, such as names of hosts. So calls that a slow server can hold up run in threads of this module.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.export.exporter import poll_wait_seconds
from airflow_provider_amplitude_segment.core.export.responses import ExportCompleted
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.claim import release_by_folder
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
    from airflow_provider_amplitude_segment.core.export.responses import ExportPending

_Result = TypeVar("_Result")

# Two pools, because Airflow gives a kill 30 seconds, and silent servers may hold all polls for longer.
_POLLS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="amplitude-export-poll")
_STORES = ThreadPoolExecutor(max_workers=4, thread_name_prefix="amplitude-segment-claim")


class AmplitudeCohortExportTrigger(BaseTrigger):
    """Fire when an export is completed, when it fails, or when its time is over.

    The one event is ``{"status": "completed" | "timeout" | "error", "request_id", "message", "retryable"}``. It holds
    no secret and no user ID, because Airflow logs it. Transient failures (429, 5xx, a network fault) are waited out; an
    undocumented status is waited out too, and logged.

    :param amplitude_conn_id: the connection's ID
    :param request_id: the export's ID
    :param poll_interval: seconds between polls; Amplitude takes five requests of a project at a time
    :param deadline: the end, in seconds since 1970-01-01 UTC, as earlier versions of this package wrote it; read
        only where ``export_timeout`` is ``None``
    :param state_place: where the ledgers are; empty where no claim is held
    :param claims: by ledger folder, the generation of the claim that the deferred task holds
    :param export_timeout: seconds to wait, counted from when a triggerer starts this trigger, because a worker's clock
        may be wrong. A triggerer that takes over the trigger starts the count again; Airflow's own timeout then ends
        the deferral. ``None``: no end. The status is polled at least once
    """

    def __init__(
        self,
        amplitude_conn_id: str = AmplitudeHook.default_conn_name,
        request_id: str = "",
        poll_interval: float = 10,
        deadline: float | None = None,
        state_place: str = "",
        claims: dict[str, int] | None = None,
        export_timeout: float | None = None,
    ) -> None:
        super().__init__()
        self.amplitude_conn_id = amplitude_conn_id
        self.request_id = request_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.state_place = state_place
        self.claims = claims
        self.export_timeout = export_timeout

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments from which a triggerer makes this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "amplitude_conn_id": self.amplitude_conn_id,
            "request_id": self.request_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "state_place": self.state_place,
            "claims": self.claims,
            "export_timeout": self.export_timeout,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the wait ends, and yield its one event."""
        hook = AmplitudeHook(self.amplitude_conn_id)
        client: AmplitudeClient | None = None
        try:
            # get_conn() blocks: it reads the connection, masks its keys and loads certificates.
            client = await keep_cancel(sync_to_async(hook.get_conn)())
            event = await self._wait(client)
        except AmplitudeSegmentError as error:
            event = self._event("error", str(error), retryable=error.retryable)
        except Exception as error:
            # The text of a foreign error may hold a secret, so it stays in the triggerer's log.
            self.log.exception("Export %s: waiting for it failed.", self.request_id)
            event = self._event("error", f"Waiting for the export failed: {type(error).__name__}.", retryable=True)
        finally:
            if client is not None:
                client.close()
        yield event

    async def on_kill(self) -> None:
        """Release the claims, because a user failed or cleared the deferred task. Airflow calls it from 3.3 on."""
        # This also looks up the state path's connection, which may block; Airflow 3.3's channel takes any thread.
        await sync_to_async(self._release_by_folder, thread_sensitive=False, executor=_STORES)()

    def _release_by_folder(self) -> None:
        if not self.claims:
            return
        store = LedgerStore(open_state_root(self.state_place))
        for folder, generation in self.claims.items():
            if release_by_folder(store, folder, generation):
                self.log.info("The wait for export %s ended. Released claim %s.", self.request_id, generation)
            else:
                self.log.warning("Claim %s of %s was not found in %s.", generation, folder, self.state_place)

    async def _wait(self, client: AmplitudeClient) -> TriggerEvent:
        logged: set[str] = set()
        poll = sync_to_async(client.export_status, thread_sensitive=False, executor=_POLLS)
        began, seconds = time.monotonic(), self._seconds_to_wait()
        while True:
            response = await keep_cancel(poll(self.request_id))
            if isinstance(response, ExportCompleted):
                return self._event("completed", "The export is completed.", retryable=False)
            said = self._log_once(response, logged)
            left = None if seconds is None else began + seconds - time.monotonic()
            if left is not None and left <= 0:
                message = f"The export was not complete in time (Amplitude said: {said})."
                return self._event("timeout", message, retryable=True, last_status=said)
            await asyncio.sleep(self._pause(response, left))

    def _seconds_to_wait(self) -> float | None:
        if self.export_timeout is None and self.deadline is not None:
            return self.deadline - time.time()
        return self.export_timeout

    def _log_once(self, response: ExportPending | RetryLater, logged: set[str]) -> str:
        """Return the status that is not "completed"; log a transient or undocumented one once."""
        said, is_unusual = response.said, isinstance(response, RetryLater) or not response.documented
        if is_unusual and said not in logged:
            logged.add(said)
            self.log.warning("Export %s: Amplitude said %s. Polling continues.", self.request_id, said)
        return said

    def _pause(self, response: ExportPending | RetryLater, left: float | None) -> float:
        pause = poll_wait_seconds(response, self.poll_interval)
        return pause if left is None else min(pause, left)

    def _event(self, status: str, message: str, *, retryable: bool, **more: str) -> TriggerEvent:
        return TriggerEvent(
            {"status": status, "request_id": self.request_id, "message": message, "retryable": retryable, **more}
        )


async def keep_cancel(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for a thread's result; raise a cancel at once and with Airflow's message.

    The message shows Airflow that the cancel is a kill, not its own shutdown, so that it calls ``on_kill``. asgiref
    replaces the cancel by one without a message.
    """
    return await asyncio.shield(asyncio.ensure_future(work))
