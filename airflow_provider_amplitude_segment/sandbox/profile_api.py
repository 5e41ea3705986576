"""The Profile API over HTTP. It reads the path as it was sent, because the way of encoding decides."""

from __future__ import annotations

import base64
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.routing import BaseRoute, Match

from airflow_provider_amplitude_segment.sandbox.json_response import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from airflow_provider_amplitude_segment.sandbox.profiles import Profile
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment

PREFIX = "/profile-api"
DEFAULT_LIMIT = 10
MOST_LIMIT = 200
# "namespaces" is the old name of "spaces".
_PATH = re.compile(r"/v1/(?:spaces|namespaces)/([^/]*)/collections/users/profiles/([^/]*)/(traits|external_ids)")
_COLON = re.compile(":|%3[Aa]")
_ENCODED = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})*")


class ProfileErrorResponse(Exception):  # noqa: N818 - a response of Segment, not a failure of the sandbox
    """The Profile API responds with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class ProfileApi:
    """The read calls of the Profile API for one user."""

    def __init__(self, segment: SandboxSegment, clock: Callable[[], float]) -> None:
        self._segment, self._clock = segment, clock

    def routes(self) -> list[BaseRoute]:
        """The Profile API below ``/profile-api``."""
        return [_Below(PREFIX + "/", self._serve)]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = self._respond(request, scope["raw_path"].decode("ascii"))
        except ProfileErrorResponse as error:
            response = as_json({"error": {"code": error.code, "message": error.message}}, error.status)
        response.headers["Request-Id"] = secrets.token_hex(8)
        await response(scope, receive, send)

    def _respond(self, request: Request, raw_path: str) -> Response:
        settings, now = self._segment.profile_api, self._clock()
        settings.request_times.append(now)
        # "Basic authentication [...] Access Token as the username and keep the password blank".
        expected = base64.b64encode(f"{settings.token}:".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            raise ProfileErrorResponse(401, "authentication_error", "No valid access token provided.")
        # unify/profile-api-limits.md: 100 requests a second for each space; no Retry-After.
        if settings.window.seconds_to_wait(now, settings.requests_per_second):
            raise ProfileErrorResponse(429, "rate_limit_error", "Too many requests.")
        if request.method != "GET":
            raise ProfileErrorResponse(400, "invalid_request_error", "GET only.")
        path = _PATH.fullmatch(raw_path[raw_path.index(PREFIX) + len(PREFIX) :])
        if path is None or path[1] != settings.space_id:
            raise ProfileErrorResponse(404, "not_found", "Resource was not found.")
        profile = self._segment.profile(_user_id(path[2]))
        if profile is None:
            raise ProfileErrorResponse(404, "not_found", "Profile was not found.")
        content = _traits(profile, request) if path[3] == "traits" else _external_ids(profile, request)
        content["cursor"]["url"] = raw_path[raw_path.index("/v1/") :]
        return as_json(content)


class _Below(BaseRoute):
    """A route of all paths with a prefix. Starlette's own match no path with a line break; a user ID may have one."""

    def __init__(self, prefix: str, app: ASGIApp) -> None:
        self._prefix, self._app = prefix, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        below = scope["type"] == "http" and scope["path"].startswith(self._prefix)
        return (Match.FULL if below else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _user_id(identifier: str) -> str:
    """Return the user ID of the path's part, as it was sent.

    >>> _user_id("user_id:a%2Bb")
    'a+b'
    """
    kind, _, raw = _COLON.sub(":", identifier, count=1).partition(":")
    if kind != "user_id" or not raw:
        raise ProfileErrorResponse(404, "not_found", "Profile was not found.")
    # profile-api.md: "contains a value with a non-alphanumeric character, then the Profile API may respond with 500".
    if not _ENCODED.fullmatch(raw):
        raise ProfileErrorResponse(500, "internal_error", "Something went wrong.")
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise ProfileErrorResponse(400, "validation_error", "The identifier is not UTF-8.") from None


def _traits(profile: Profile, request: Request) -> dict[str, Any]:
    shown = dict(profile.traits)
    if request.query_params.get("class"):
        shown = {}  # audiences and computed traits; those of messages are neither
    if "include" in request.query_params:
        # A comma ends a key, so that a key with a comma cannot be asked for.
        included = request.query_params["include"].split(",")
        shown = {trait: held for trait, held in shown.items() if trait in included}
    names, cursor = _page(list(shown), request)
    if request.query_params.get("verbose") == "true":
        held = {name: shown[name] for name in names}
        verbose = {
            name: {"value": trait.value, "source_id": trait.source_id, "updated_at": _as_text(trait.updated)}
            for name, trait in held.items()
        }
        return {"traits": verbose, "cursor": cursor}
    return {"traits": {name: shown[name].value for name in names}, "cursor": cursor}


def _external_ids(profile: Profile, request: Request) -> dict[str, Any]:
    # `include` is of types here, e.g. user_id, anonymous_id; the sandbox has user IDs only.
    included = request.query_params.get("include", "user_id").split(",")
    user_ids, cursor = _page(sorted(profile.user_ids) if "user_id" in included else [], request)
    data = [
        {
            "source_id": profile.user_ids[user_id][0],
            "collection": "users",
            "id": user_id,
            "type": "user_id",
            "created_at": _as_text(profile.user_ids[user_id][1]),
            "encoding": "none",
        }
        for user_id in user_ids
    ]
    return {"data": data, "cursor": cursor}


def _page(names: list[str], request: Request) -> tuple[list[str], dict[str, Any]]:
    """Return the names from the one that ``next`` says, and the cursor of the response."""
    try:
        limit = int(request.query_params.get("limit", DEFAULT_LIMIT))
    except ValueError:
        limit = 0
    if not 1 <= limit <= MOST_LIMIT:
        raise ProfileErrorResponse(400, "validation_error", f"limit must be from 1 to {MOST_LIMIT}.")
    # As in the documents' example, where `next` is the name of a trait.
    after = request.query_params.get("next", "")
    left = [name for name in names if name >= after]
    more = len(left) > limit
    return left[:limit], {"has_more": more, "next": left[limit] if more else "", "limit": limit}


def _as_text(time: float) -> str:
    return datetime.fromtimestamp(time, tz=UTC).isoformat().replace("+00:00", "Z")
