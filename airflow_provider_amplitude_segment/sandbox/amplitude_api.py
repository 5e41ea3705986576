"""Amplitude's cohort calls over HTTP, and the storage of large files."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.amplitude import AmplitudeErrorResponse
from airflow_provider_amplitude_segment.sandbox.json_response import as_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from airflow_provider_amplitude_segment.sandbox.amplitude import Export, SandboxAmplitude


class AmplitudeApi:
    """The read calls of the Behavioral Cohorts API."""

    def __init__(self, amplitude: SandboxAmplitude) -> None:
        self._amplitude = amplitude

    def routes(self) -> list[Route]:
        """Amplitude's own paths, and ``/storage`` for the files that Amplitude keeps on S3."""
        return [
            Route("/api/3/cohorts", self._guarded(self._list)),
            Route("/api/3/cohorts/usage", self._guarded(self._usage)),
            Route("/api/5/cohorts/request/{cohort_id}", self._guarded(self._request)),
            Route("/api/5/cohorts/request-status/{request_id}", self._guarded(self._status)),
            Route("/api/5/cohorts/request/{request_id}/file", self._guarded(self._file)),
            Route("/storage/{token}/cohort.csv", self._storage),
        ]

    def _guarded(self, respond: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self._raise_unless_authorized(request.headers.get("authorization"))
                _raise_unless_get(request)
                return respond(request)
            except AmplitudeErrorResponse as error:
                return _error(error)

        return guarded

    def _raise_unless_authorized(self, header: str | None) -> None:
        # behavioral-cohorts.md, "Authorization": basic authentication with {api-key}:{secret-key}. The codes
        # are not documented; 403 for a wrong secret was seen live (PipedreamHQ/pipedream#21584).
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            raise AmplitudeErrorResponse(
                401, "unauthorized", "Basic authentication with API key and secret key needed."
            )
        try:
            credentials = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise AmplitudeErrorResponse(401, "unauthorized", "The Authorization header cannot be read.") from None
        if credentials != f"{self._amplitude.api_key}:{self._amplitude.secret_key}":
            raise AmplitudeErrorResponse(403, "forbidden", "Invalid API key or secret key.")

    def _list(self, request: Request) -> Response:
        # behavioral-cohorts.md, "Get all cohorts"; syncMetadata comes with includeSyncInfo only.
        cohorts = self._amplitude.listed()
        if request.query_params.get("includeSyncInfo") == "true":
            cohorts = [{**cohort, "syncMetadata": []} for cohort in cohorts]
        return as_json({"cohorts": cohorts})

    def _usage(self, request: Request) -> Response:
        usage = self._amplitude.usage()
        if usage is None:
            raise AmplitudeErrorResponse(404, "not_found", "Not found.", path=request.url.path)
        return as_json(usage)

    def _request(self, request: Request) -> Response:
        # behavioral-cohorts.md, "Get one cohort": 202 with request_id and cohort_id. propKeys may repeat and
        # "only works together with props=1".
        keys = request.query_params.getlist("propKeys") if request.query_params.get("props") == "1" else []
        export = self._amplitude.request_export(request.path_params["cohort_id"], keys)
        return as_json({"request_id": export.request_id, "cohort_id": export.cohort_id}, 202)

    def _status(self, request: Request) -> Response:
        # behavioral-cohorts.md, "Poll request status": 202 "JOB INPROGRESS", 200 "JOB COMPLETED".
        export, complete = self._amplitude.poll(request.path_params["request_id"])
        content = {"request_id": export.request_id, "cohort_id": export.cohort_id}
        if complete:
            return as_json({**content, "async_status": "JOB COMPLETED"})
        return as_json({**content, "async_status": "JOB INPROGRESS"}, 202)

    def _file(self, request: Request) -> Response:
        # behavioral-cohorts.md, "Download file": 200 with the file, or 302 to a pre-signed link.
        export = self._amplitude.complete_export(request.path_params["request_id"])
        if export.delivery == "inline":
            return _csv(export)
        token = self._amplitude.new_link(export)
        link = f"{request.url.scheme}://{request.url.netloc}/storage/{token}/cohort.csv"
        return Response(status_code=302, headers={"Location": link})

    async def _storage(self, request: Request) -> Response:
        # S3, "Error responses": a pre-signed link with an Authorization header has two auth mechanisms.
        if "authorization" in request.headers:
            return _s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        export = self._amplitude.linked_export(request.path_params["token"])
        if export is None:
            return _s3_error(403, "AccessDenied", "Request has expired")
        return _csv(export)


def _csv(export: Export) -> Response:
    headers = {"Content-Encoding": "gzip"} if export.membership.gzip else {}
    return Response(export.membership.file(export.property_keys), headers=headers, media_type="text/csv")


def _error(error: AmplitudeErrorResponse) -> Response:
    # behavioral-cohorts.md, "Upload cohort", Error: the only error body that this API documents.
    content = {"http_code": error.status, "type": error.kind, "message": error.message, "metadata": error.metadata}
    return as_json({"error": content}, error.status)


def _s3_error(status: int, code: str, message: str) -> Response:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
    return Response(body, status, media_type="application/xml")


def _raise_unless_get(request: Request) -> None:
    # Starlette routes HEAD as GET, and a HEAD to the request call would spend an export.
    if request.method != "GET":
        raise AmplitudeErrorResponse(405, "method_not_allowed", "GET only.")
