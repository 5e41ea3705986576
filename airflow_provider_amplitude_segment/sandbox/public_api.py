"""Segment's Public API over HTTP: the workspace, its sources, and what was delivered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.dated_app import http_date
from airflow_provider_amplitude_segment.sandbox.delivery_overview import DeliveryOverview
from airflow_provider_amplitude_segment.sandbox.json_response import as_json
from airflow_provider_amplitude_segment.sandbox.public_query import PublicApiErrorResponse, read_page, read_query
from airflow_provider_amplitude_segment.sandbox.public_version import check_version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment
    from airflow_provider_amplitude_segment.sandbox.sources import SandboxDestination, SandboxSource

    Query = dict[str, Any]
    Respond = Callable[[Request, Query], dict[str, Any]]

PREFIX = "/public-api"
_WINDOW_SECONDS = 60
_SUBJECTS_AN_ENTRY = 2
_NO_LOGOS = {"default": "", "mark": None, "alt": None}


class PublicApi:
    """The read calls of the Public API that concern a source. There is no ``/v1`` in its paths."""

    def __init__(self, segment: SandboxSegment, clock: Callable[[], float]) -> None:
        self._segment, self._clock = segment, clock
        self._overview = DeliveryOverview(segment, clock)

    def routes(self) -> list[Route]:
        """The Public API below ``/public-api``."""
        calls: dict[str, Respond] = {
            "": self._workspace,
            "/": self._workspace,
            "/sources": self._sources,
            "/sources/{source_id}": self._source,
            "/sources/{source_id}/settings": self._settings,
            "/sources/{source_id}/connected-destinations": self._destinations,
            "/tracking-plans/{plan_id}/rules": self._rules,
            "/suppressions": self._suppressions,
            "/spaces": self._spaces,
            "/events/volume": self._event_volume,
            "/delivery-overview/{step}": lambda request, query: self._overview.metrics(
                request.path_params["step"], query
            ),
        }
        guarded = {path: self._guarded(call) for path, call in calls.items()}
        # Any other path gets an error of Segment's form too, after the check of the token.
        return [Route(PREFIX + path, call) for path, call in guarded.items()] + [
            Route(PREFIX + "/{rest:path}", self._guarded(_unknown))
        ]

    def _guarded(self, respond: Respond) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            access = self._segment.public_api
            access.requests += 1
            headers: dict[str, str] = {}
            try:
                self._check_token(request.headers.get("authorization", ""))
                headers = self._count_request(request.url.path)
                check_version(request.url.path.removeprefix(PREFIX), request.headers.get("accept", ""))
                content = respond(request, read_query(request.query_params.multi_items()))
                response = as_json({"data": content})
            except _TooManyRequestsResponse as error:
                headers = error.headers
                response = _error(error, error.data)
            except PublicApiErrorResponse as error:
                response = _error(error)
            response.headers.update(headers)
            return response

        return guarded

    def _check_token(self, header: str) -> None:
        # The documents say "Authorization: Bearer <token>"; 401 and 403 are those that its users report.
        access = self._segment.public_api
        if header != f"Bearer {access.token}":
            raise PublicApiErrorResponse(401, "unauthorized", "Unauthorized")
        if access.forbidden:
            raise PublicApiErrorResponse(403, "forbidden", "This token has no access to the resource")

    def _count_request(self, path: str) -> dict[str, str]:
        """Return the headers of the rate limit, or raise what Segment responds past it."""
        # docs.segmentapis.com, "Rate Limits"; GET /events/volume has a lower limit of its own.
        access, now = self._segment.public_api, self._clock()
        windows = [(access.window, access.requests_per_minute)]
        if path == PREFIX + "/events/volume":
            windows.insert(0, (access.event_volume_window, access.event_volumes_per_minute))
        for window, limit in windows:
            wait = window.seconds_to_wait(now, limit)
            if wait:
                raise _TooManyRequestsResponse(wait, _rate_headers(window.passed(now), limit, now, wait))
        limit = access.requests_per_minute
        return {} if limit is None else _rate_headers(access.window.passed(now), limit, now, _WINDOW_SECONDS)

    def _workspace(self, _: Request, __: Query) -> dict[str, Any]:
        access = self._segment.public_api
        workspace = {"id": access.workspace_id, "slug": access.workspace_slug, "name": access.workspace_name}
        return {"workspace": workspace}

    def _sources(self, _: Request, query: Query) -> dict[str, Any]:
        sources, pagination = read_page(query).of(self._segment.listed_sources)
        return {"sources": [self._shown(source) for source in sources], "pagination": pagination}

    def _source(self, request: Request, _: Query) -> dict[str, Any]:
        source = self._found(request)
        return {"source": self._shown(source), "trackingPlanId": source.tracking_plan_id}

    def _settings(self, request: Request, _: Query) -> dict[str, Any]:
        source = self._found(request)
        allows = source.mode == "ALLOW"
        identify = {
            "allowUnplannedTraits": allows,
            "allowTraitsOnViolations": allows,
            "commonEventOnViolations": source.mode,
        }
        return {"sourceId": source.source_id, "settings": {"identify": identify}}

    def _destinations(self, request: Request, query: Query) -> dict[str, Any]:
        source = self._found(request)
        destinations, pagination = read_page(query).of(source.destinations)
        shown = [_shown_destination(destination, source.source_id) for destination in destinations]
        return {"destinations": shown, "pagination": pagination}

    def _rules(self, request: Request, query: Query) -> dict[str, Any]:
        plan_id = request.path_params["plan_id"]
        planned: set[str] = set()
        of_plan = [source for source in self._segment.listed_sources if source.tracking_plan_id == plan_id]
        if not of_plan:
            raise PublicApiErrorResponse(404, "not-found", "Tracking Plan not found")
        planned = set().union(*(source.planned_traits for source in of_plan))
        rules, pagination = read_page(query).of([_track_rule(), _identify_rule(planned)])
        return {"rules": rules, "pagination": pagination}

    def _suppressions(self, _: Request, query: Query) -> dict[str, Any]:
        user_ids = sorted(self._segment.suppressed)
        entries = [
            {"subjectType": "USER_ID", "subjectIds": user_ids[at : at + _SUBJECTS_AN_ENTRY]}
            for at in range(0, len(user_ids), _SUBJECTS_AN_ENTRY)
        ]
        suppressed, pagination = read_page(query).of(entries)
        return {"suppressed": suppressed, "pagination": pagination}

    def _spaces(self, _: Request, query: Query) -> dict[str, Any]:
        space_id = self._segment.profile_api.space_id
        spaces = [{"id": space_id, "slug": "sandbox", "name": "Sandbox"}] if self._segment.public_api.spaces else []
        shown, pagination = read_page(query).of(spaces)
        return {"spaces": shown, "pagination": pagination}

    def _event_volume(self, _: Request, query: Query) -> dict[str, Any]:
        return self._overview.event_volume(query)

    def _found(self, request: Request) -> SandboxSource:
        for source in self._segment.listed_sources:
            if source.source_id == request.path_params["source_id"]:
                return source
        raise PublicApiErrorResponse(404, "not-found", "Source not found")

    def _shown(self, source: SandboxSource) -> dict[str, Any]:
        access = self._segment.public_api
        metadata = {
            "id": source.kind_id,
            "slug": "http-api",
            "name": "HTTP API",
            "description": "",
            "categories": ["Server"],
            "logos": _NO_LOGOS,
            "options": [],
            "isCloudEventSource": False,
            "status": "PUBLIC",
        }
        return {
            "id": source.source_id,
            "slug": source.slug,
            **({"name": source.name} if source.name else {}),
            "workspaceId": access.workspace_id,
            "enabled": source.enabled,
            "writeKeys": list(source.write_keys) if access.sees_write_keys else [],
            "metadata": metadata,
            "settings": {},
            "labels": [],
        }


class _TooManyRequestsResponse(PublicApiErrorResponse):
    def __init__(self, wait: float, headers: dict[str, str]) -> None:
        super().__init__(429, "rate-limit-exceeded", "Too many requests")
        self.headers = {**headers, "Retry-After": str(max(1, math.ceil(wait)))}
        self.data = {"msBeforeNext": math.ceil(wait * 1000), "remainingPoints": 0}


def _unknown(_: Request, __: Query) -> dict[str, Any]:
    raise PublicApiErrorResponse(404, "not-found", "Not found")


def _rate_headers(passed: int, limit: int | None, now: float, reset_seconds: float) -> dict[str, str]:
    # The reset is a date, as RFC 5322 writes it, and not a number of seconds.
    return {
        "X-RateLimit-Consumed": str(passed),
        "X-RateLimit-Remaining": str(max(0, (limit or 0) - passed)),
        "X-RateLimit-Reset": http_date(now + reset_seconds),
    }


def _error(error: PublicApiErrorResponse, data: dict[str, Any] | None = None) -> Response:
    content: dict[str, Any] = {"type": error.kind, "message": error.message, "status": error.status}
    if error.field:
        content["field"] = error.field
    if data:
        content["data"] = data
    return as_json({"errors": [content]}, error.status)


def _shown_destination(destination: SandboxDestination, source_id: str) -> dict[str, Any]:
    metadata = {
        "id": destination.slug,
        "name": destination.name,
        "slug": destination.slug,
        "description": "",
        "logos": _NO_LOGOS,
        "options": [],
        "status": "PUBLIC",
        "previousNames": [],
        "categories": [],
        "website": "",
        "components": [],
        "supportedFeatures": {},
        "supportedMethods": {},
        "supportedPlatforms": {},
        "actions": [],
        "presets": [],
    }
    return {
        "id": destination.destination_id,
        "name": destination.name,
        "enabled": destination.enabled,
        "sourceId": source_id,
        "settings": {},
        "metadata": metadata,
    }


def _schema(**of: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {"context": {}, "traits": {}, "properties": {}, **of}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": parts}


def _identify_rule(planned: set[str]) -> dict[str, Any]:
    traits = {"type": "object", "properties": {trait: {"description": ""} for trait in sorted(planned)}, "required": []}
    return {"type": "IDENTIFY", "jsonSchema": _schema(traits=traits), "version": 1}


def _track_rule() -> dict[str, Any]:
    properties = {"type": "object", "properties": {"total": {"type": "number"}}, "required": []}
    return {"type": "TRACK", "key": "Order Completed", "jsonSchema": _schema(properties=properties), "version": 1}
