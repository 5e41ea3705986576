"""An ASGI application that imports the routes on its first request."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]

log = logging.getLogger(__name__)

_UNAVAILABLE = b"The pages of airflow-provider-amplitude-segment do not fit this Airflow; see the API server's log."


class LazyApp:
    """Passes each request to the routes; where they cannot be imported, each response is 503."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: App | None = None

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Serve one ASGI request."""
        await self._made()(scope, receive, send)

    def _made(self) -> App:
        with self._lock:
            if self._app is None:
                self._app = _make_app()
            return self._app


def _make_app() -> App:
    try:
        from airflow_provider_amplitude_segment.ui.api import create_app  # noqa: PLC0415 - only in the API server
    except ImportError:
        # The dependencies that check rights are no public interface of Airflow. Without them no route may respond.
        log.exception("The pages of airflow-provider-amplitude-segment are not available in this Airflow.")
        return _respond_unavailable
    app: App = create_app()
    return app


async def _respond_unavailable(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:  # noqa: ARG001 - ASGI's form
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(_UNAVAILABLE)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _UNAVAILABLE})
