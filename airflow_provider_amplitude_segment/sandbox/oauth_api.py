"""The token endpoint over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.dated_app import http_date
from airflow_provider_amplitude_segment.sandbox.json_response import as_json
from airflow_provider_amplitude_segment.sandbox.oauth import OAuthErrorResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment

PREFIX = "/oauth2"
_FORM = "application/x-www-form-urlencoded"


class OAuthApi:
    """``POST /oauth2/token``."""

    def __init__(self, segment: SandboxSegment) -> None:
        self._segment = segment

    def routes(self) -> list[Route]:
        """The token endpoint below ``/oauth2``."""
        return [Route(PREFIX + "/token", self._token, methods=["POST"])]

    async def _token(self, request: Request) -> Response:
        oauth = self._segment.oauth
        body = await request.body()
        try:
            form = _read_form(request.headers.get("content-type", ""), body)
            # The audience is the server's URL "without the trailing slash", and a request went to its /token.
            audience = str(request.url).removesuffix("/token")
            response = as_json(oauth.issue(form, audience))
        except OAuthErrorResponse as error:
            response = as_json({"error": error.error, "error_description": error.description}, error.status)
        # A client learns from it how far its own clock is off.
        response.headers["Date"] = http_date(oauth.now)
        return response


def _read_form(content_type: str, body: bytes) -> dict[str, str]:
    if content_type.partition(";")[0].strip() != _FORM:
        raise OAuthErrorResponse("invalid_request", f"Content-Type must be {_FORM}", 415)
    return dict(parse_qsl(body.decode("latin-1")))
