"""Segment's tracking call over HTTP."""

from __future__ import annotations

import base64
import binascii
import time
import zlib
from typing import TYPE_CHECKING

from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.batch_body import read_batch
from airflow_provider_amplitude_segment.sandbox.json_response import as_json
from airflow_provider_amplitude_segment.sandbox.received import Batch

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_amplitude_segment.sandbox.batch_body import BatchBody
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment

BATCH_BYTES = 500_000
SHORTEST_WRITE_KEY = 10
_REQUIRED_LOGIN = (
    "The sandbox requires Basic authentication with exactly base64('<write key>:'): the write key as "
    "user name, a colon, an empty password. Segment itself returns 200 here and may lose everything."
)


class SegmentErrorResponse(Exception):  # noqa: N818 - a response of Segment, not a failure of the sandbox
    """Segment responds with an error, and accepts nothing."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class SegmentApi:
    """``POST /v1/batch``."""

    def __init__(self, segment: SandboxSegment) -> None:
        self._segment = segment

    def routes(self) -> list[Route]:
        """Segment's path."""
        return [Route("/v1/batch", self._batch, methods=["POST"])]

    async def _batch(self, request: Request) -> Response:
        received = time.monotonic()
        write_key, size, body = "", 0, None
        try:
            sent = await _whole_body(request)
            header, encoding = request.headers.get("authorization"), request.headers.get("content-encoding", "identity")
            app_id = self._application(header or "")
            write_key = "" if app_id else self._write_key(header)
            raw = _uncompressed(sent, encoding.lower())
            size = len(raw)
            if app_id:
                write_key = _write_key_of_body(raw)
                self._check_connected(app_id, write_key)
            body = self._accepted(write_key, raw)
            self._segment.receive(write_key, body)
            status, response = 200, as_json({"success": True})
        except SegmentErrorResponse as error:
            status = error.status
            response = as_json({"success": False, "message": error.message}, error.status)
        if write_key:
            retries = request.headers.get("x-retry-count", "")
            count = int(retries) if retries.isdecimal() else None
            messages = len(body.messages) if body else 0
            self._segment.record(Batch(write_key, size, messages, count, received, status))
        return response

    def _write_key(self, header: str | None) -> str:
        write_key = _write_key(header)
        source = self._segment.sources.get(write_key)
        if source is not None and source.requires_oauth:
            raise SegmentErrorResponse(401, "The source requires OAuth")
        return write_key

    def _application(self, header: str) -> str:
        """Return the ID of the application whose token a header has; an empty text for a header without a token."""
        # What Segment responds to a wrong token is not documented; its SDKs drop the token at 400, 401, 403 and 511.
        if not header.startswith("Bearer "):
            return ""
        app_id = self._segment.oauth.application_of(header.removeprefix("Bearer "))
        if app_id is None:
            raise SegmentErrorResponse(
                401, "The access token is wrong, expired or revoked; a write key is no access token"
            )
        return app_id

    def _check_connected(self, app_id: str, write_key: str) -> None:
        # connections/oauth.md, "Connect a source to OAuth": a source is connected to an application. A write key of no
        # source is connected to none.
        source = self._segment.sources.get(write_key)
        if source is None or (source.oauth_apps is not None and app_id not in source.oauth_apps):
            raise SegmentErrorResponse(401, "The OAuth application is not connected to the source")

    def _accepted(self, write_key: str, raw: bytes) -> BatchBody:
        """Return the body of a batch that gets a 200, or raise Segment's 400."""
        # segmentio/analytics-go#205: Segment accepts any key, and returns 400 only for empty and very short ones.
        if len(write_key) < SHORTEST_WRITE_KEY:
            raise SegmentErrorResponse(400, "Invalid write key")
        # http-api, "Max request size": 500 KB a batch; "Errors": too large payloads and JSON errors are 400.
        if len(raw) > BATCH_BYTES:
            raise SegmentErrorResponse(400, "Exceed payload limit")
        try:
            body = read_batch(raw)
        except (ValueError, RecursionError):
            raise SegmentErrorResponse(400, "Malformed JSON") from None
        poisoned = self._segment.poisoned
        if poisoned and any(_user_of(message) in poisoned for message in body.messages):
            raise SegmentErrorResponse(400, "Invalid message in batch")
        return body


def _user_of(message: object) -> str | None:
    user_id = message.get("userId") if isinstance(message, dict) else None
    return user_id if isinstance(user_id, str) else None


def _write_key(header: str | None) -> str:
    """Return the write key from the one form of header that the sandbox accepts.

    >>> _write_key("Basic YWJjMTIzOg==")
    'abc123'
    """
    # http-api, "Authentication": Basic base64("<writeKey>:"), colon needed: without it a call "might
    # work [...] due to backward compatibility, this won't always be the case".
    scheme, _, encoded = (header or "").partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise SegmentErrorResponse(401, _REQUIRED_LOGIN) from None
    if scheme != "Basic" or not colon or password:
        raise SegmentErrorResponse(401, _REQUIRED_LOGIN)
    if not user:
        raise SegmentErrorResponse(400, "Invalid write key")
    return user


def _write_key_of_body(raw: bytes) -> str:
    # http-api, "OAuth": beside the token, the write key is a field of the payload.
    try:
        write_key = read_batch(raw).envelope.get("writeKey")
    except (ValueError, RecursionError):
        raise SegmentErrorResponse(400, "Malformed JSON") from None
    if not isinstance(write_key, str) or not write_key:
        raise SegmentErrorResponse(400, "Invalid write key")
    return write_key


async def _whole_body(request: Request) -> bytes:
    """Read the request to its end; of an oversized one keep only enough to show its size."""
    sent = bytearray()
    async for chunk in request.stream():
        if len(sent) <= BATCH_BYTES:
            sent += chunk
    return bytes(sent)


def _uncompressed(sent: bytes, encoding: str) -> bytes:
    """Decompress a body, but no more of it than shows that it is too large."""
    if encoding == "identity" or len(sent) > BATCH_BYTES:
        return sent
    if encoding != "gzip":
        raise SegmentErrorResponse(400, "Unsupported Content-Encoding")
    unzip = zlib.decompressobj(wbits=31)
    try:
        body = unzip.decompress(sent, BATCH_BYTES + 1)
    except zlib.error:
        raise SegmentErrorResponse(400, "Malformed gzip") from None
    if not unzip.eof and len(body) <= BATCH_BYTES:
        raise SegmentErrorResponse(400, "Malformed gzip")
    return body
