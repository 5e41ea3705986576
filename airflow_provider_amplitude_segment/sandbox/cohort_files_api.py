"""The control calls of cohort files: write a set now, also one that goes wrong, finish it, and list the sets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.cohort_files import DIFFTYPES, FilesRefused
from airflow_provider_amplitude_segment.sandbox.json_body import json_object, whole_number
from airflow_provider_amplitude_segment.sandbox.json_response import as_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_amplitude_segment.sandbox.cohort_files import CohortFiles, FileSet

_ARGUMENTS = {"fault", "files", "sets"}


class CohortFilesApi:
    """The calls under ``/sandbox/cohort-files``."""

    def __init__(self, files: CohortFiles) -> None:
        self._files = files

    def routes(self) -> list[Route]:
        """List, write and finish."""
        return [
            Route("/sandbox/cohort-files", self._list),
            Route("/sandbox/cohort-files/{cohort_id}", self._write, methods=["POST"]),
            Route("/sandbox/cohort-files/{cohort_id}/finish", self._finish, methods=["POST"]),
        ]

    async def _list(self, _: Request) -> Response:
        return self._shown(list(self._files.sets))

    async def _write(self, request: Request) -> Response:
        arguments = await json_object(request)
        if unknown := arguments.keys() - _ARGUMENTS:
            raise HTTPException(400, f"unknown: {', '.join(sorted(unknown))}; takes fault, files and sets")
        files = whole_number(arguments, "files") if "files" in arguments else None
        sets = whole_number(arguments, "sets", 1)
        fault: Any = arguments.get("fault")

        def write() -> list[FileSet]:
            cohort_id = request.path_params["cohort_id"]
            return [self._files.write(cohort_id, fault=fault, files=files) for _ in range(sets)]

        # In a thread, because a store may be another server of this process.
        return self._shown(await asyncio.to_thread(_or_refused, write))

    async def _finish(self, request: Request) -> Response:
        files = whole_number(await json_object(request), "files", len(DIFFTYPES))
        cohort_id = request.path_params["cohort_id"]
        return self._shown(await asyncio.to_thread(_or_refused, lambda: self._files.finish(cohort_id, files=files)))

    def _shown(self, sets: list[FileSet]) -> Response:
        place = None if self._files.target is None else str(self._files.target)
        return as_json({"place": place, "sets": [made.as_shown() for made in sets]})


def _or_refused(work: Any) -> Any:
    try:
        return work()
    except FilesRefused as error:
        raise HTTPException(400, str(error)) from None
    except OSError as error:
        raise HTTPException(502, f"the place failed: {error}") from None
