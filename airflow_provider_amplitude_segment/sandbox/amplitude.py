"""A stand-in Amplitude project: its cohorts, its exports, and its limits."""

from __future__ import annotations

import secrets
import string
import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.sandbox.churn import move_members
from airflow_provider_amplitude_segment.sandbox.cohorts import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_amplitude_segment.sandbox.churn import Churn
    from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort

API_KEY = "a1f0c3d5e7b9281746352413a5c7e9f0"
SECRET_KEY = "5ecre7c0ffee00d15ea5ed0fab1e5ba11"  # noqa: S105 - opens nothing but this stand-in
LINK_SECONDS = 60
API_LINK_SECONDS = 7 * 24 * 3600
MINUTE, TEN_MINUTES = 60, 600
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits

EXPORTS_KEPT = 200
"""Older exports are deleted before their seven days are over, to bound memory."""


class AmplitudeErrorResponse(Exception):  # noqa: N818 - a response of the project, not a failure of the sandbox
    """The project responds with an error: the HTTP status, and the fields of the JSON body."""

    def __init__(self, status: int, kind: str, message: str, **metadata: Any) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.metadata = status, kind, message, metadata


@dataclass(slots=True)
class Export:
    """One requested export."""

    request_id: str
    cohort_id: str
    requested: float
    """Epoch seconds, by the sandbox's clock."""
    polls_left: int
    delivery: Literal["inline", "storage"]
    membership: Membership = field(repr=False)
    property_keys: tuple[str, ...] = ()


class SandboxAmplitude:
    """The stand-in project. A test may read and set its attributes while the server runs."""

    def __init__(self, cohorts: Iterable[SandboxCohort], *, clock: Callable[[], float]) -> None:
        self.api_key = API_KEY
        self.secret_key = SECRET_KEY
        self.cohorts: dict[str, SandboxCohort] = {cohort.cohort_id: cohort for cohort in cohorts}
        # behavioral-cohorts.md, "Considerations": 500 requests a month; 60 requests in 10 minutes and
        # 4 parallel requests a minute, each for one app.
        self.monthly_limit = 500
        self.requests_per_ten_minutes: int | None = 60
        self.parallel_per_minute: int | None = 4
        self.usage_shape: Literal["nested", "flat", "missing"] = "nested"
        self._clock = clock
        self._lock = threading.RLock()
        self._churns = 0
        self.forget()

    def forget(self) -> None:
        """Delete every export and the usage of the limits; the cohorts stay."""
        with self._lock:
            self.exports_spent = 0
            self.exports_refused: Counter[str] = Counter()
            self._exports: OrderedDict[str, Export] = OrderedDict()
            self._links: OrderedDict[str, tuple[float, Export]] = OrderedDict()
            self._requested: deque[float] = deque()
            self._month = self._this_month()
            self._used = 0

    @property
    def used_this_month(self) -> int:
        """Exports requested in the clock's calendar month (UTC); set it to bring the limit near."""
        with self._lock:
            if self._month != self._this_month():
                self._month, self._used = self._this_month(), 0
            return self._used

    @used_this_month.setter
    def used_this_month(self, used: int) -> None:
        with self._lock:
            self._month, self._used = self._this_month(), used

    def listed(self) -> list[dict[str, Any]]:
        """The cohort objects of the list: with archived cohorts, without undiscoverable ones."""
        # behavioral-cohorts.md, "Get all cohorts": "Get all discoverable cohorts for an app".
        now = self._clock()
        with self._lock:
            return [cohort.as_listed(now) for cohort in list(self.cohorts.values()) if cohort.discoverable]

    def usage(self) -> dict[str, Any] | None:
        """The body of the usage call, or ``None`` where the project has no such call."""
        # behavioral-cohorts.md, "Get usage", names the call only; the nested shape has the best evidence.
        used, limit = self.used_this_month, self.monthly_limit
        resets = _month_after(self._now()).isoformat().replace("+00:00", "Z")
        if self.usage_shape == "missing":
            return None
        if self.usage_shape == "flat":
            return {"limit": limit, "count": used}
        return {"rest_download": {"limit": limit, "usage": used, "resets_at": resets}}

    def request_export(self, cohort_id: str, property_keys: Sequence[str] = ()) -> Export:
        """Spend an export on the cohort's current members.

        Raises:
            AmplitudeErrorResponse: the cohort is unknown or archived, or a limit is reached; no export is spent.
        """
        with self._lock:
            cohort = self._exportable(cohort_id)
            self._raise_if_past_a_limit()
            earlier = next((e for e in reversed(self._exports.values()) if e.cohort_id == cohort_id), None)
            membership = Membership.of(cohort, earlier.membership if earlier else None)
            export = Export(
                # behavioral-cohorts.md shows IDs such as qfaZya and Sf7M9j: letters and digits alone.
                request_id="".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(8)),
                cohort_id=cohort_id,
                requested=self._clock(),
                polls_left=cohort.ready_after_polls,
                delivery=cohort.delivery,
                membership=membership,
                property_keys=tuple(property_keys),
            )
            self.used_this_month += 1
            self.exports_spent += 1
            self._requested.append(export.requested)
            self._exports[export.request_id] = export
            while len(self._exports) > EXPORTS_KEPT:
                self._exports.popitem(last=False)
            return export

    def poll(self, request_id: str) -> tuple[Export, bool]:
        """Return an export and whether it is complete; each poll counts towards completion."""
        with self._lock:
            export = self._export(request_id)
            complete = export.polls_left <= 0
            export.polls_left -= not complete
            return export, complete

    def complete_export(self, request_id: str) -> Export:
        """Return a complete export."""
        with self._lock:
            export = self._export(request_id)
            if export.polls_left > 0:
                raise AmplitudeErrorResponse(400, "export_not_complete", "The cohort export is not complete yet.")
            return export

    def new_link(self, export: Export) -> str:
        """Return a new token for a storage link, valid for one minute."""
        # behavioral-cohorts.md, "Download file": the S3 link is "valid for one minute".
        with self._lock:
            token = secrets.token_urlsafe(24)
            self._links[token] = (self._clock() + LINK_SECONDS, export)
            while len(self._links) > EXPORTS_KEPT:
                self._links.popitem(last=False)
            return token

    def linked_export(self, token: str) -> Export | None:
        """Return the export of a link's token, or ``None`` for an unknown or expired token."""
        with self._lock:
            expires, export = self._links.get(token, (0.0, None))
            return export if self._clock() <= expires else None

    def churn(self, cohort_id: str, *, enter: int = 0, exit: int = 0, seed: int = 0) -> Churn:  # noqa: A002
        """Let new users enter and members exit, the same users for the same seed and history.

        Raises:
            KeyError: no such cohort.
            ValueError: ``exit`` is larger than the cohort; nothing is changed.
        """
        with self._lock:
            cohort = self.cohorts[cohort_id]
            churn, staying = move_members(cohort.user_ids, enter, exit, seed=f"{seed}/{cohort_id}/{self._churns}")
            cohort.user_ids = staying
            self._churns += 1
            return churn

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _this_month(self) -> tuple[int, int]:
        return self._now().year, self._now().month

    def _exportable(self, cohort_id: str) -> SandboxCohort:
        # behavioral-cohorts.md, "Get one cohort": "If your authorization or the cohort_id is invalid, the
        # request returns an error." Which one is not documented.
        cohort = self.cohorts.get(cohort_id)
        if cohort is None:
            raise AmplitudeErrorResponse(404, "cohort_not_found", "Cohort not found.", cohort_id=cohort_id)
        if cohort.archived:
            raise AmplitudeErrorResponse(400, "cohort_archived", "Cohort is archived.", cohort_id=cohort_id)
        return cohort

    def _export(self, request_id: str) -> Export:
        # behavioral-cohorts.md, "Download file": the API link is "valid for seven days".
        export = self._exports.get(request_id)
        if export is None or self._clock() - export.requested > API_LINK_SECONDS:
            raise AmplitudeErrorResponse(404, "request_not_found", "No such request, or it is older than seven days.")
        return export

    def _raise_if_past_a_limit(self) -> None:
        # dashboard-rest.md, "Limits": "Exceeding these limits returns a 429 error. These limits are per
        # project, and the 429 error also includes information on how you are exceeding the limit."
        now = self._clock()
        while self._requested and now - self._requested[0] >= TEN_MINUTES:
            self._requested.popleft()
        running = [e for e in self._exports.values() if now - e.requested < MINUTE and e.polls_left > 0]
        for name, limit, used in (
            ("requests per month", self.monthly_limit, self.used_this_month),
            ("requests per 10 minutes", self.requests_per_ten_minutes, len(self._requested)),
            ("parallel requests per minute", self.parallel_per_minute, len(running)),
        ):
            if limit is not None and used >= limit:
                self.exports_refused[name] += 1
                message = f"Rate limit exceeded: {used} of {limit} {name}."
                raise AmplitudeErrorResponse(429, "too_many_requests", message, limit=limit, used=used, name=name)


def _month_after(now: datetime) -> datetime:
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)  # noqa: PLR2004
    return datetime(year, month, 1, tzinfo=UTC)
