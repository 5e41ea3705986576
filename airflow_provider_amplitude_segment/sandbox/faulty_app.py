"""The application with its faults, which occur before, after or instead of the real work."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_amplitude_segment.sandbox.faults import Fault, Faults, Point


_POINTS: dict[Point, re.Pattern[str]] = {
    "segment.batch": re.compile("/v1/batch"),
    "segment.overview": re.compile("/public-api/(delivery-overview/[^/]+|events/volume)"),
    "segment.suppressions": re.compile("/public-api/suppressions"),
    "segment.public": re.compile("/public-api(/.*)?", re.DOTALL),
    "segment.profile": re.compile("/profile-api/.+", re.DOTALL),
    "segment.token": re.compile("/oauth2/token"),
    "amplitude.list": re.compile("/api/3/cohorts"),
    "amplitude.usage": re.compile("/api/3/cohorts/usage"),
    "amplitude.request": re.compile("/api/5/cohorts/request/[^/]+"),
    "amplitude.status": re.compile("/api/5/cohorts/request-status/[^/]+"),
    "amplitude.file": re.compile("/api/5/cohorts/request/[^/]+/file"),
    "amplitude.storage": re.compile("/storage/.+"),
}


_BETWEEN_LOOKS_SECONDS = 0.05


class Connections:
    """The open connections of the server, by the client's address, so that a fault can cut one."""

    def __init__(self) -> None:
        self._protocols: dict[tuple[str, int], H11Protocol] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return a uvicorn protocol that registers its connections here."""
        protocols = self._protocols

        class RegisteredProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(cast("asyncio.Transport", transport))
                if self.client is not None:
                    protocols[self.client] = self

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if self.client is not None:
                    protocols.pop(self.client, None)

        return RegisteredProtocol

    def announce_no_end(self, scope: Scope) -> None:
        """End the response with the connection, without a length and without chunks."""
        protocol = self._protocols.get(tuple(scope["client"]))
        if protocol is not None:
            # To a client that speaks HTTP/1.0, h11 sends no chunks where the application gives no length.
            protocol.conn.their_http_version = b"1.0"

    async def cut(self, scope: Scope, *, flush: bool) -> None:
        """Close the request's connection; with ``flush``, after the written bytes are sent."""
        protocol = self._protocols.get(tuple(scope["client"]))
        if protocol is not None:
            if flush:
                protocol.transport.close()
            else:
                protocol.transport.abort()
            # uvicorn notices the closed connection in the loop's next iteration.
            await asyncio.sleep(0)


@dataclass(slots=True)
class _CollectedResponse:
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    async def collect(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")


class FaultyApp:
    """Passes a request to the real application, unless a test ordered a fault for it."""

    def __init__(self, app: ASGIApp, faults: Faults, connections: Connections) -> None:
        self._app, self._faults, self._connections = app, faults, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        points = points_of(scope["path"]) if scope["type"] == "http" else []
        cleared = self._faults.cleared
        fault = next((fault for point in points if (fault := self._faults.take(point))), None)
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._apply(fault, cleared, scope, receive, send)

    async def _apply(self, fault: Fault, cleared: int, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _whole_request(receive)
        response = _CollectedResponse()

        async def replay() -> Message:
            return request

        if fault.apply:
            await self._app(scope, replay, response.collect)
        await self._delay(fault.delay_seconds, cleared)
        if fault.keeps_the_response and not fault.apply:
            await self._app(scope, replay, response.collect)
        if fault.reset:
            await self._connections.cut(scope, flush=False)
            return
        if fault.status is not None:
            response = _CollectedResponse(fault.status, [], bytearray(fault.body))
        await self._respond(response, fault, scope, send)

    async def _delay(self, seconds: float, cleared: int) -> None:
        until = time.monotonic() + seconds
        while self._faults.cleared == cleared and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110 - by threads
            await asyncio.sleep(min(left, _BETWEEN_LOOKS_SECONDS))

    async def _respond(self, response: _CollectedResponse, fault: Fault, scope: Scope, send: Send) -> None:
        added = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
        length = (b"content-length", str(len(response.body)).encode())
        replaced = {name for name, _ in (*added, length)}
        kept = [(name, value) for name, value in response.headers if name not in replaced]
        lengths = [] if any(name == b"content-length" for name, _ in added) else [length]
        if fault.cut_unannounced:
            lengths = []
            self._connections.announce_no_end(scope)
        start = {"type": "http.response.start", "status": response.status, "headers": [*kept, *added, *lengths]}
        await send(start)
        if fault.cut_after_bytes is None:
            await send({"type": "http.response.body", "body": bytes(response.body)})
            return
        part = bytes(response.body[: fault.cut_after_bytes])
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await self._connections.cut(scope, flush=True)


def points_of(path: str) -> list[Point]:
    """Return the kinds of request of a path, as faults name them, the narrowest first.

    >>> points_of("/api/5/cohorts/request/qfaZya/file"), points_of("/")
    (['amplitude.file'], [])
    >>> points_of("/public-api/suppressions")
    ['segment.suppressions', 'segment.public']
    """
    return [point for point, pattern in _POINTS.items() if pattern.fullmatch(path)]


async def _whole_request(receive: Receive) -> Message:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return {"type": "http.request", "body": bytes(body), "more_body": False}
