"""The sandbox's own page, and the JSON calls under ``/sandbox``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from airflow_provider_amplitude_segment.sandbox.json_body import json_object, whole_number
from airflow_provider_amplitude_segment.sandbox.json_response import as_json

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_amplitude_segment.sandbox.amplitude import SandboxAmplitude
    from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.comparison import Comparison
    from airflow_provider_amplitude_segment.sandbox.faults import Faults
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment


class ShownSandbox(Protocol):
    """The part of the sandbox that the page shows and changes."""

    amplitude: SandboxAmplitude
    segment: SandboxSegment
    faults: Faults
    url: str

    def compare(self, cohort_id: str, *, write_key: str, trait: str | None = None) -> Comparison:
        """Compare what a Segment source believes with a cohort's current members."""

    def reset(self) -> None:
        """Reset cohorts, exports, Segment and faults."""


class Page:
    """The page for people, and the JSON calls for scripts. Both show labels instead of write keys."""

    def __init__(self, sandbox: ShownSandbox) -> None:
        self._sandbox = sandbox
        self._html = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")

    def routes(self) -> list[Route]:
        """The page and the JSON calls."""
        return [
            Route("/", self._page),
            Route("/sandbox/state", self._state),
            Route("/sandbox/compare", self._compare),
            Route("/sandbox/segment/{write_key}/believes", self._believes),
            Route("/sandbox/segment/{write_key}/journeys", self._journeys),
            Route("/sandbox/cohorts/{cohort_id}/churn", self._churn, methods=["POST"]),
            Route("/sandbox/cohorts/{cohort_id}/rename", self._rename, methods=["POST"]),
            Route("/sandbox/reset", self._reset, methods=["POST"]),
        ]

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(self._html)

    async def _state(self, _: Request) -> Response:
        amplitude, segment = self._sandbox.amplitude, self._sandbox.segment
        return as_json(
            {
                "url": self._sandbox.url,
                "cohorts": [_shown(cohort) for cohort in list(amplitude.cohorts.values())],
                "exports": {
                    "spent": amplitude.exports_spent,
                    "used_this_month": amplitude.used_this_month,
                    "monthly_limit": amplitude.monthly_limit,
                },
                "segment": [self._source(key, label) for key, label in segment.write_keys.items()],
                "suppressed_users": len(segment.suppressed),
                "received": {
                    "batches": segment.batches_received,
                    "messages": segment.messages_received,
                    "identifies": segment.identifies_received,
                    "duplicates_dropped": segment.duplicates_dropped,
                    "silently_lost": segment.lost,
                },
                "batches": [self._batch(number) for number in segment.batches[-20:]],
                "faults_pending": len(self._sandbox.faults.pending),
            }
        )

    def _source(self, write_key: str, label: str) -> dict[str, Any]:
        segment = self._sandbox.segment
        source = segment.sources.get(write_key)
        return {
            "label": label,
            "traits": segment.trait_counts(write_key),
            "events": Counter(event.event for events in segment.journeys(write_key).values() for event in events),
            "enabled": source.enabled if source else None,
            "tracking_plan": source.mode if source and source.tracking_plan_id else None,
        }

    def _batch(self, batch: Any) -> dict[str, Any]:
        label = self._sandbox.segment.write_keys.get(batch.write_key, "…" + batch.write_key[-4:])
        return {**asdict(batch), "write_key": label}

    async def _compare(self, request: Request) -> Response:
        cohort_id = self._cohort(request.query_params.get("cohort_id", "")).cohort_id
        label = request.query_params.get("write_key", "segment_default")
        compared = self._sandbox.compare(
            cohort_id, write_key=self._write_key(label), trait=request.query_params.get("trait")
        )
        return as_json({**asdict(compared), "equal": compared.equal})

    async def _believes(self, request: Request) -> Response:
        trait = request.query_params.get("trait", "")
        write_key = self._write_key(request.path_params["write_key"])
        believed = sorted(self._sandbox.segment.believes(write_key, trait))
        match request.query_params.get("format", "json"):
            case "json":
                return as_json(believed)
            case "lines":
                lines = "".join(json.dumps(user_id) + "\n" for user_id in believed)
                return Response(lines, media_type="application/x-ndjson")
            case "count":
                false = len(self._sandbox.segment.disbelieves(write_key, trait))
                return as_json({"true": len(believed), "false": false})
        raise HTTPException(400, "format must be json, lines or count")

    async def _journeys(self, request: Request) -> Response:
        """Return the events of each user, or of the user that ``user_id`` names."""
        journeys = self._sandbox.segment.journeys(self._write_key(request.path_params["write_key"]))
        asked = request.query_params.get("user_id")
        users = journeys if asked is None else {asked: journeys.get(asked, [])}
        return as_json({user_id: [asdict(event) for event in events] for user_id, events in users.items()})

    async def _churn(self, request: Request) -> Response:
        cohort = self._cohort(request.path_params["cohort_id"])
        arguments = await json_object(request)
        enter, leave, seed = (whole_number(arguments, name) for name in ("enter", "exit", "seed"))
        try:
            churn = self._sandbox.amplitude.churn(cohort.cohort_id, enter=enter, exit=leave, seed=seed)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return as_json({**_shown(cohort), "entered": len(churn.entered), "exited": len(churn.exited)})

    async def _rename(self, request: Request) -> Response:
        cohort = self._cohort(request.path_params["cohort_id"])
        name = (await json_object(request)).get("name")
        if not isinstance(name, str) or not name.strip():
            raise HTTPException(400, "name must be a text that is not blank")
        cohort.name = name
        return as_json(_shown(cohort))

    async def _reset(self, _: Request) -> Response:
        self._sandbox.reset()
        return as_json({"reset": True})

    def _cohort(self, cohort_id: str) -> SandboxCohort:
        cohort = self._sandbox.amplitude.cohorts.get(cohort_id)
        if cohort is None:
            raise HTTPException(404, f"no cohort {cohort_id!r}")
        return cohort

    def _write_key(self, label: str) -> str:
        """Return the write key of a label; a write key is its own label too."""
        for write_key, known in self._sandbox.segment.write_keys.items():
            if label in (write_key, known):
                return write_key
        raise HTTPException(404, "no batch with this write key has arrived")


def _shown(cohort: SandboxCohort) -> dict[str, Any]:
    return {
        "cohort_id": cohort.cohort_id,
        "name": cohort.name,
        "members": len(cohort.user_ids),
        "anonymous": cohort.anonymous,
        "archived": cohort.archived,
        "group_type": cohort.group_type,
    }
