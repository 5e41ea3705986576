"""Wait for an export of a cohort without a worker slot.

Whatever blocks leaves the triggerer's loop through ``sync_to_async`` and in no other way. All triggers of a triggerer
share one channel to Airflow, over which connections are looked up and secrets are masked. Airflow 3.0 and 3.1 lock it
in the loop alone: a look-up from a thread that asgiref did not start breaks the channel, and with it every trigger of
every team (``TriggerCommsDecoder`` in ``airflow/jobs/triggerer_job_runner.py``).

A triggerer also shares its threads: plain ``sync_to_async`` has one for all look-ups, and a loop has one pool for all
else, such as names of hosts. So what a slow server can hold up runs in threads of this module.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.claim import give_back
from airflow_provider_amplitude_segment.core.cohort_export import AskAgain, ExportCompleted
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
    from airflow_provider_amplitude_segment.core.cohort_export import ExportPending

_LONGEST_ASKED_WAIT_SECONDS = 300.0

_Result = TypeVar("_Result")

# Two, because Airflow gives a kill 30 seconds, and silent servers may hold all polls for longer.
_POLLS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="amplitude-export-poll")
_STORES = ThreadPoolExecutor(max_workers=4, thread_name_prefix="amplitude-segment-claim")


class AmplitudeCohortExportTrigger(BaseTrigger):
    """Fire when an export is completed, when it fails, or when its time is over.

    The one event is ``{"status": "completed" | "timeout" | "error", "request_id", "message", "retryable"}``:
    no secret and no user ID, as Airflow logs it. What passes (429, 5xx, a network that fails) is waited out;
    a status Amplitude does not document is too, and logged.

    :param amplitude_conn_id: the connection's ID
    :param request_id: the export's ID
    :param poll_interval: seconds between two questions; the project may ask Amplitude five things at a time
    :param deadline: the end, in seconds since 1970-01-01 UTC, as earlier versions of this package wrote it; read
        only where ``export_timeout`` is ``None``
    :param state_place: where the ledgers are; empty where no claim is held
    :param claims: by ledger folder, the generation of the claim that the deferred task holds
    :param export_timeout: seconds to wait, counted from when a triggerer starts this trigger, because a worker's clock
        may be wrong. A triggerer that takes the trigger over counts them again; Airflow's own timeout ends the
        deferral then. ``None``: no end. Amplitude is asked once at least
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
        """Return the class and the arguments that make this trigger again, on any triggerer."""
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
        """Ask until there is something to tell, and tell it."""
        hook = AmplitudeHook(self.amplitude_conn_id)
        client: AmplitudeClient | None = None
        try:
            # Reading the connection, masking its keys and loading certificates all block.
            client = await _keep_cancel(sync_to_async(hook.get_conn)())
            event = await self._wait(client)
        except AmplitudeSegmentError as error:
            event = self._event("error", str(error), retryable=error.retryable)
        except Exception as error:
            # A text of somebody else's error may hold anything; its traceback stays in the triggerer's log.
            self.log.exception("Export %s: waiting for it failed.", self.request_id)
            event = self._event("error", f"Waiting for the export failed: {type(error).__name__}.", retryable=True)
        finally:
            if client is not None:
                client.close()
        yield event

    async def on_kill(self) -> None:
        """Give the claims back: somebody failed or cleared the deferred task. Airflow calls it from 3.3 on."""
        # The look-up of the state path's connection too: it may ask for a role. The channel of Airflow 3.3 takes any
        # thread.
        await sync_to_async(self._give_back, thread_sensitive=False, executor=_STORES)()

    def _give_back(self) -> None:
        if not self.claims:
            return
        store = LedgerStore(open_state_root(self.state_place))
        for folder, generation in self.claims.items():
            if give_back(store, folder, generation):
                self.log.info(
                    "Export %s is not waited for any more; claim %s is given back.", self.request_id, generation
                )
            else:
                self.log.warning("Claim %s of %s is not in %s.", generation, folder, self.state_place)

    async def _wait(self, client: AmplitudeClient) -> TriggerEvent:
        told: set[str] = set()
        ask = sync_to_async(client.export_status, thread_sensitive=False, executor=_POLLS)
        began, seconds = time.monotonic(), self._seconds_to_wait()
        while True:
            answer = await _keep_cancel(ask(self.request_id))
            if isinstance(answer, ExportCompleted):
                return self._event("completed", "The export is completed.", retryable=False)
            said = self._note(answer, told)
            left = None if seconds is None else began + seconds - time.monotonic()
            if left is not None and left <= 0:
                message = f"The export was not complete in time (Amplitude said: {said})."
                return self._event("timeout", message, retryable=True, last_status=said)
            await asyncio.sleep(self._pause(answer, left))

    def _seconds_to_wait(self) -> float | None:
        if self.export_timeout is None and self.deadline is not None:
            return self.deadline - time.time()
        return self.export_timeout

    def _note(self, answer: ExportPending | AskAgain, told: set[str]) -> str:
        """Return what was said instead of "completed"; log it once where it is worth it."""
        if isinstance(answer, AskAgain):
            said, worth = answer.said, True
        else:
            said, worth = answer.status_text, not answer.documented
        if worth and said not in told:
            told.add(said)
            self.log.warning("Export %s: Amplitude said %s. Waiting on.", self.request_id, said)
        return said

    def _pause(self, answer: ExportPending | AskAgain, left: float | None) -> float:
        pause = self.poll_interval
        if isinstance(answer, AskAgain) and answer.after_seconds is not None:
            pause = max(pause, min(answer.after_seconds, _LONGEST_ASKED_WAIT_SECONDS))
        return pause if left is None else min(pause, left)

    def _event(self, status: str, message: str, *, retryable: bool, **more: str) -> TriggerEvent:
        return TriggerEvent(
            {"status": status, "request_id": self.request_id, "message": message, "retryable": retryable, **more}
        )


async def _keep_cancel(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for what a thread does; a cancel comes out at once and with Airflow's message.

    By the message Airflow distinguishes a kill from its own shutdown, and calls ``on_kill``. asgiref puts a cancel
    without one in its place.
    """
    return await asyncio.shield(asyncio.ensure_future(work))
