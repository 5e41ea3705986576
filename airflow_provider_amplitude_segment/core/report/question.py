"""The question that a guard puts to a person: counts and names, never a user ID."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import AskableGuardError, EmptyCohortError, ExitRatioError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class PastSync:
    """A committed sync of a destination, for comparison.

    Attributes:
        at: when it ended, as in its commit.
        entered: members who were sent ``true``.
        exited: former members who were sent ``false``.
        known: users with ``true`` after it; ``None`` where the commit does not say.
    """

    at: str
    entered: int
    exited: int
    known: int | None


@dataclass(frozen=True, slots=True)
class AskedDestination:
    """A destination whose guard trips.

    Attributes:
        segment_conn_id: the connection.
        known: users who may be ``true`` there now.
        would_enter: members who would be sent ``true``.
        would_exit: users who would be sent ``false``.
        max_exit_ratio: the limit that trips; ``None`` where the cohort is suddenly empty.
        planned_changes: location of the file with the changes; ``None`` if it could not be written.
        past: the last syncs, the newest first.
    """

    segment_conn_id: str
    known: int
    would_enter: int
    would_exit: int
    max_exit_ratio: float | None
    planned_changes: str | None = None
    past: tuple[PastSync, ...] = ()

    @property
    def ratio(self) -> float:
        """The share of the known members that would exit.

        >>> AskedDestination("segment_default", 200, 0, 150, 0.5).ratio
        0.75
        """
        return self.would_exit / self.known if self.known else 0.0

    @property
    def limit(self) -> str:
        """The parameter that trips, with its value.

        >>> AskedDestination("a", 200, 0, 150, 0.5).limit, AskedDestination("a", 200, 0, 200, None).limit
        ('max_exit_ratio=0.5', "on_empty_cohort='fail'")
        """
        return "on_empty_cohort='fail'" if self.max_exit_ratio is None else f"max_exit_ratio={self.max_exit_ratio:g}"


@dataclass(frozen=True, slots=True)
class AlsoSent:
    """A destination whose guard does not trip, and which *Send anyway* sends to as well.

    Attributes:
        segment_conn_id: the connection.
        known: users who are ``true`` there now; ``None`` for an unfinished plan, which was compared by an earlier try.
        would_enter: members who would be sent ``true``.
        would_exit: users who would be sent ``false``.
    """

    segment_conn_id: str
    known: int | None
    would_enter: int
    would_exit: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked, and what the answer is bound to. It ends a try that waits for the answer.

    Attributes:
        app_id: the Amplitude project's number.
        cohort_id: Amplitude's cohort ID.
        cohort_name: as Amplitude lists it.
        export_request_id: the export that *Send anyway* sends.
        members: distinct user IDs in the export.
        anonymous: rows of the export without a user ID.
        starts: by ledger folder, what the diff of each destination started from.
        destinations: those whose guard trips.
        claims: by ledger folder, the claim that the try had, whose report gets the answer.
        also_sent: the other destinations that *Send anyway* sends to.
        sendable_until: seconds since 1970 until which the export can be sent; 0 where its files have no end.
    """

    app_id: str
    cohort_id: str
    cohort_name: str | None
    export_request_id: str
    members: int
    anonymous: int
    starts: Mapping[str, str]
    destinations: tuple[AskedDestination, ...]
    claims: Mapping[str, int] = field(default_factory=dict)
    also_sent: tuple[AlsoSent, ...] = ()
    sendable_until: float = 0.0

    @property
    def code(self) -> str:
        """Six characters that differ from those of a question about another export or another state.

        >>> question = Question("187520", "c1", "Power Users", "R1", 50, 0, {"a": "commit-7"}, ())
        >>> question.code
        'ABCE50'
        """
        bound = json.dumps([self.export_request_id, sorted(self.starts.items())])
        return hashlib.sha256(bound.encode()).hexdigest()[:_CODE_CHARACTERS].upper()

    def error(self, run_configuration: Mapping[str, Any], answer: str | None = None) -> AskableGuardError:
        """Return the guard's error of the first destination, which ends the task without *Send anyway*.

        Args:
            run_configuration: of the DAG run.
            answer: how the question ended, in a sentence.
        """
        asked = self.destinations[0]
        error: AskableGuardError
        if asked.max_exit_ratio is None:
            error = EmptyCohortError(asked.segment_conn_id, asked.known, self.anonymous, run_configuration)
        else:
            error = ExitRatioError(
                asked.segment_conn_id, asked.would_exit, asked.known, asked.max_exit_ratio, run_configuration
            )
        return error.with_details(asked.planned_changes, answer)

    def as_dict(self) -> dict[str, Any]:
        """Return the question in JSON's types, for the task that resumes.

        >>> asked = AskedDestination("a", 200, 0, 150, 0.5, None, (PastSync("2026-11-24T03:00:00.000Z", 1, 2, 200),))
        >>> others = (AlsoSent("b", 9, 1, 0),)
        >>> question = Question("187520", "c1", None, "R1", 50, 0, {"a": "commit-7"}, (asked,), also_sent=others)
        >>> question_from_dict(json.loads(json.dumps(question.as_dict()))) == question
        True
        """
        return asdict(self)


def question_from_dict(entry: Mapping[str, Any]) -> Question:
    """Return the question of ``Question.as_dict``; an earlier version wrote it without some of the last fields."""
    asked = [
        AskedDestination(**{**each, "past": tuple(PastSync(**past) for past in each["past"])})
        for each in entry["destinations"]
    ]
    also_sent = tuple(AlsoSent(**each) for each in entry.get("also_sent", ()))
    return Question(**{**entry, "destinations": tuple(asked), "also_sent": also_sent})
