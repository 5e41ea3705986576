"""Everything this package raises on purpose, as one tree.

    AmplitudeSegmentError
    ├── SettingError                  a parameter, a connection's field or a configuration value
    ├── UserListError                 a list of user IDs that is to be erased
    ├── XComValueError                an object that a task returned, and the next one could not read
    ├── AmplitudeError                Amplitude, or the cohort it holds
    │   ├── AmplitudeCredentialsError
    │   ├── AmplitudeUnavailableError     may get better by a retry
    │   ├── AmplitudeUnreachableError
    │   ├── AmplitudeAnswerError
    │   ├── CohortError
    │   │   ├── CohortNotFoundError, CohortArchivedError, GroupCohortError, CohortTooLargeError
    │   └── ExportError
    │       ├── ExportsSpentError, ExportFailedError, ExportFileError
    │       └── ExportTimeoutError, ExportCutOffError     may get better by a retry
    ├── GuardError                    the sync looks wrong and was refused before anything was sent
    │   └── EmptyCohortError, ExitRatioError, FewExportsLeftError, MissingStateError, ChangedKeyError,
    │       TraitConflictError
    ├── LedgerError                   the memory of what Segment was told
    │   ├── ClaimHeldError, ClaimLostError, StateUnavailableError     may get better by a retry
    │   ├── LedgerDamagedError, LedgerFormatError, LedgerNotFoundError, CommitNotKeptError
    │   └── StatePathError, StateMarkError
    ├── EngineError                   the worker's disk or memory; may get better by a retry
    └── SegmentError
        ├── SegmentRefusedError, SegmentAnswerError, SegmentUnreachableError, RejectedUsersError
        └── SegmentUnavailableError, SyncStoppedError     may get better by a retry

Messages say what was *not* done and what to do next. They hold counts, request IDs and names of connections,
never a secret or a user ID. ``retryable`` tells Airflow whether another try can get better by itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECK_CLOCKS = "Check that the clocks of all workers are synchronized (NTP)."

_NOTHING_SENT = "Nothing was sent to Segment in this try."

_RESTORE = (
    "Restore it from a backup, or go back to an earlier commit. Where that cannot be: take the destination's folder "
    "away and let the next sync through with on_missing_state='full'; nobody who left before that is told false."
)

_NOT_RETRIED = "No retry cures this, so none is made."

_STATE_PATH_ADVICE = "Set state_path, or [amplitude_segment] state_path, to a place that every worker can write."

_MOST_NAMED = 20


class AmplitudeSegmentError(Exception):
    """Anything this package raises on purpose.

    Attributes:
        retryable: whether a later try can succeed although nobody changed anything.
    """

    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild a copy from its text and its attributes: what it was made from is not what it was given."""
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[AmplitudeSegmentError], args: tuple[Any, ...]) -> AmplitudeSegmentError:
    return kind.__new__(kind, *args)


class SettingError(AmplitudeSegmentError):
    """A setting is missing or of the wrong shape; nothing was asked of anybody.

    Attributes:
        setting: the parameter's name, or the connection's and its field's as the form shows it.
        problem: what is wrong with it, in words.
        takes: what it takes, in words.
    """

    def __init__(self, setting: str, problem: str, takes: str) -> None:
        self.setting = setting
        self.problem = problem
        self.takes = takes
        super().__init__(f"{setting}: {problem}. It takes {takes}. {_NOTHING_SENT}")


class UserListError(AmplitudeSegmentError):
    """A list of user IDs cannot be read as it is written; nothing was erased.

    Attributes:
        problem: what is wrong with it, in words; never a user ID.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"The list of user IDs is refused: {problem}. Nothing was erased. Give a CSV file with a header that "
            "names the column user_id, as Amplitude exports it, or one user ID a line, in quotation marks where it "
            "holds one or a line break. It is not retried."
        )


class XComValueError(AmplitudeSegmentError):
    """A task returned an object that Airflow would write into an XCom, and that no task could read back.

    Attributes:
        kind: the object's class.
        instead: what to return, in words.
    """

    def __init__(self, kind: str, instead: str) -> None:
        self.kind = kind
        self.instead = instead
        super().__init__(
            f"A value of the class {kind} cannot cross from one task to another. No XCom was written. "
            f"Return {instead}. A retry does not help."
        )


class AmplitudeError(AmplitudeSegmentError):
    """Amplitude, or the cohort it holds, is not as the sync needs it; nothing was sent."""


class AmplitudeCredentialsError(AmplitudeError):
    """Amplitude answered 401 or 403.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(
            f"Amplitude refused the credentials (HTTP {status}): the API key or the secret key is wrong, or belongs "
            f"to a project of the other data region (US / EU). {_NOTHING_SENT} Check API key, secret key and "
            "data region of the Amplitude connection."
        )


class AmplitudeUnavailableError(AmplitudeError):
    """Amplitude could not be reached, or went on answering 429 or 5xx.

    Attributes:
        doing: what was asked of it, in words.
        status: HTTP status code of the last answer; ``None`` where none came.
        reason: why none came, or what was said with it; may be empty.
        advice: what to do if it stays so, in a sentence.
    """

    retryable = True

    def __init__(self, doing: str, status: int | None, reason: str = "", advice: str = "") -> None:
        self.doing = doing
        self.status = status
        self.reason = reason
        self.advice = advice or "Look at Amplitude's status page and at the connection's host."
        said = f"HTTP {status}" if status is not None else "no answer"
        super().__init__(
            f"Amplitude: {doing}: {said}{f' ({reason})' if reason else ''}. {_NOTHING_SENT} The next try asks again. "
            f"If it stays so: {self.advice}"
        )


class AmplitudeUnreachableError(AmplitudeError):
    """No connection to Amplitude or to its storage comes about, for a reason that no retry cures.

    Attributes:
        doing: what was asked of it, in words.
        reason: why, in words.
        advice: what cures it, in a sentence.
    """

    def __init__(self, doing: str, reason: str, advice: str) -> None:
        self.doing = doing
        self.reason = reason
        self.advice = advice
        super().__init__(f"Amplitude: {doing}: no connection: {reason}. {_NOTHING_SENT} {advice} {_NOT_RETRIED}")


class AmplitudeAnswerError(AmplitudeError):
    """Amplitude answered with something its documents do not have.

    Attributes:
        doing: what was asked of it, in words.
        status: HTTP status code.
    """

    def __init__(self, doing: str, status: int, problem: str) -> None:
        self.doing = doing
        self.status = status
        super().__init__(
            f"Amplitude: {doing}: HTTP {status}, {problem}. {_NOTHING_SENT} "
            "Check host and region of the Amplitude connection."
        )


class CohortError(AmplitudeError):
    """The cohort cannot be synced; no export was spent.

    Attributes:
        cohort_id: Amplitude's cohort ID.
    """

    def __init__(self, cohort_id: str, problem: str, advice: str) -> None:
        self.cohort_id = cohort_id
        super().__init__(f"Cohort {cohort_id} {problem}. {_NOTHING_SENT} No export was spent. {advice}")


class CohortNotFoundError(CohortError):
    """Amplitude's list of cohorts does not show the cohort.

    Attributes:
        listed: how many cohorts the list shows.
    """

    def __init__(self, cohort_id: str, listed: int) -> None:
        self.listed = listed
        super().__init__(
            cohort_id,
            f"was not found among the {listed} that Amplitude lists: it does not exist, is not discoverable, "
            "or belongs to another project or region",
            "Check the ID (the last part of the cohort's URL), make the cohort discoverable, "
            "or use the connection of its project.",
        )


class CohortArchivedError(CohortError):
    """The cohort is archived in Amplitude."""

    def __init__(self, cohort_id: str) -> None:
        super().__init__(
            cohort_id,
            "is archived in Amplitude",
            "Unarchive it there, or take it out of the DAG; what Segment was told of it stays as it is.",
        )


class GroupCohortError(CohortError):
    """The cohort is one of groups (accounts), not of users.

    Attributes:
        group_type: what Amplitude counts in it.
    """

    def __init__(self, cohort_id: str, group_type: str) -> None:
        self.group_type = group_type
        super().__init__(
            cohort_id,
            f"counts {group_type!r}, not users",
            "Only cohorts of users have user IDs to tell Segment about.",
        )


class CohortTooLargeError(CohortError):
    """The cohort's listed size is over what one export holds.

    Attributes:
        size: members that Amplitude lists.
        limit: members that one export holds.
    """

    def __init__(self, cohort_id: str, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            cohort_id,
            f"has {size:,} members, and an export holds {limit:,} at most",
            "Split it into smaller cohorts in Amplitude, e.g. by the first character of the user ID.",
        )


class ExportError(AmplitudeError):
    """An export could not be had, or its file not be used; nothing was sent.

    Attributes:
        request_id: Amplitude's ID of the export, where there is one.
    """

    def __init__(self, request_id: str | None, message: str) -> None:
        self.request_id = request_id
        super().__init__(f"{message} {_NOTHING_SENT}")


class ExportsSpentError(ExportError):
    """The month's exports are spent, by Amplitude's own count.

    Attributes:
        usage: exports counted this month.
        limit: exports the plan has a month.
        resets_at: when the count starts anew, as Amplitude says it; ``None`` where it does not.
    """

    def __init__(self, usage: int, limit: int, resets_at: str | None) -> None:
        self.usage = usage
        self.limit = limit
        self.resets_at = resets_at
        until = f"The count starts anew at {resets_at}." if resets_at else "Amplitude did not say when it resets."
        super().__init__(
            None,
            f"Amplitude refused the export: {usage:,} of {limit:,} exports of this month are spent. {until} "
            "Sync less often, or ask Amplitude for more Cohort API calls.",
        )


class ExportTimeoutError(ExportError):
    """Amplitude did not complete, or did not accept, the export within ``export_timeout``.

    Attributes:
        waited_seconds: how long this try waited.
    """

    retryable = True

    def __init__(self, request_id: str | None, waited_seconds: float, last_status: str) -> None:
        self.waited_seconds = waited_seconds
        self.last_status = last_status
        what = (
            f"Export {request_id} was not complete after {waited_seconds:,.0f} s (Amplitude said: {last_status}). "
            "The next try goes on waiting for the same export."
            if request_id
            else f"Amplitude accepted no export within {waited_seconds:,.0f} s (it said: {last_status})."
        )
        advice = (
            "Raise export_timeout if this cohort takes longer."
            if request_id
            else "Run fewer syncs at once, e.g. with a pool, or raise export_timeout."
        )
        super().__init__(request_id, f"{what} {advice}")


class ExportWaitError(ExportError):
    """The triggerer could not go on waiting for an export; the export is not lost."""

    retryable = True

    def __init__(self, request_id: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            request_id,
            f"Waiting for export {request_id} in the triggerer ended early: {reason} Nothing was sent. The next try "
            "goes on with the same export. If it happens again, look into the triggerer's log.",
        )


class ExportFailedError(ExportError):
    """Amplitude answered the question after an export with an error that waiting does not cure.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, request_id: str | None, status: int, reason: str) -> None:
        self.status = status
        super().__init__(
            request_id,
            f"Amplitude gave up export {request_id} (HTTP {status}: {reason}). Clear the task to request a new one."
            if request_id
            else f"Amplitude refused to export the cohort (HTTP {status}: {reason}).",
        )


class ExportFileError(ExportError):
    """The export's file is not a cohort of users.

    Attributes:
        fault: what is wrong with it, in words.
    """

    advice: ClassVar[str] = "Look at the cohort in Amplitude, then clear the task to request a new export."

    def __init__(self, fault: str, request_id: str | None = None) -> None:
        self.fault = fault
        export = f"export {request_id}" if request_id else "the export"
        super().__init__(request_id, f"The file of {export} is refused: {fault}. {self.advice}")


class ExportCutOffError(ExportFileError):
    """The export's file ends early, or may; a download begun again may be whole."""

    retryable = True
    advice: ClassVar[str] = (
        "The retry fetches the same export again, which costs none. If it stays so, a proxy on the way cuts the file, "
        "or drops what says where it ends: fetch it past that proxy (Extra proxies or trust_env of the Amplitude "
        "connection). If the listed size is old, open the cohort in Amplitude, which computes it."
    )


class GuardError(AmplitudeSegmentError):
    """The sync looks wrong; it was refused before anything was sent, and the ledger is as it was.

    Attributes:
        run_configuration: the refused run's configuration, and on top what lets this sync through once.
    """

    def __init__(self, message: str, run_configuration: dict[str, Any], advice: str = "If this is right,") -> None:
        self.run_configuration = run_configuration
        super().__init__(
            f"{message} {_NOTHING_SENT} {advice} let it through once: trigger a DAG that takes these as "
            f"parameters, as the example DAGs do, with the configuration {json.dumps(run_configuration)}"
        )


class EmptyCohortError(GuardError):
    """The export has no member where members were known.

    Attributes:
        known: users Segment may hold as members now.
        anonymous: rows of the export without a user ID.
    """

    def __init__(self, destination: str, known: int, anonymous: int, run_configuration: Mapping[str, Any]) -> None:
        self.known = known
        self.anonymous = anonymous
        super().__init__(
            f"The export has no member ({anonymous:,} anonymous), and {known:,} are known to Segment "
            f"connection {destination!r} (on_empty_cohort='fail').",
            {**run_configuration, "on_empty_cohort": "sync"},
        )


class ExitRatioError(GuardError):
    """More members would leave than ``max_exit_ratio`` allows.

    Attributes:
        leaving: users last told ``true`` under the current trait key who are members no more.
        told: users last told ``true`` under the current trait key.
        max_exit_ratio: the share that is allowed.
    """

    def __init__(
        self, destination: str, leaving: int, told: int, max_exit_ratio: float, run_configuration: Mapping[str, Any]
    ) -> None:
        self.leaving = leaving
        self.told = told
        self.max_exit_ratio = max_exit_ratio
        super().__init__(
            f"{leaving:,} of {told:,} members known to Segment connection {destination!r} would leave "
            f"({leaving / told:.0%}), more than max_exit_ratio={max_exit_ratio:g} allows.",
            {**run_configuration, "max_exit_ratio": None},
        )


class FewExportsLeftError(GuardError):
    """Fewer exports are left this month than ``min_exports_left``; none was spent.

    Attributes:
        left: exports left this month, by Amplitude's own count.
        min_exports_left: how many must be left.
        resets_at: when the count starts anew, as Amplitude says it; ``None`` where it does not.
    """

    def __init__(
        self, left: int, min_exports_left: int, resets_at: str | None, run_configuration: Mapping[str, Any]
    ) -> None:
        self.left = left
        self.min_exports_left = min_exports_left
        self.resets_at = resets_at
        until = f"The count starts anew at {resets_at}." if resets_at else "Amplitude did not say when it resets."
        super().__init__(
            f"{left:,} of this month's exports are left, fewer than min_exports_left={min_exports_left}. "
            f"{until} No export was spent.",
            {**run_configuration, "min_exports_left": 0},
        )


class MissingStateError(GuardError):
    """An earlier sync is remembered that the ledger knows nothing of.

    Attributes:
        finding: what was found, in words.
        found: generation of the ledger's newest entry; 0 where it has none.
        remembered: generation that Airflow, or the ledger's own hint, remembers.
    """

    def __init__(
        self, destination: str, place: str, found: int, remembered: int, run_configuration: Mapping[str, Any]
    ) -> None:
        self.found = found
        self.remembered = remembered
        has = f"ends at number {found}" if found else "is empty"
        self.finding = (
            f"A sync to Segment connection {destination!r} with number {remembered} is remembered, and the ledger "
            f"{place} {has}."
        )
        super().__init__(
            f"{self.finding} Is state_path the one of before, on every worker? Else restore the ledger from a backup. "
            "Where it is lost for good, one can go on with what is left: a sync tells every member anew, and nobody "
            "whom only the lost part names is told false.",
            {**run_configuration, "on_missing_state": "full"},
        )


class ChangedKeyError(GuardError):
    """The connection told this cohort before, to a destination of another name.

    Attributes:
        finding: what was found, in words.
        destination: its name now.
        earlier: its name before.
    """

    def __init__(
        self, segment_conn_id: str, destination: str, earlier: str, run_configuration: Mapping[str, Any]
    ) -> None:
        self.destination = destination
        self.earlier = earlier
        self.finding = (
            f"Segment connection {segment_conn_id!r} has told this cohort before, to destination {earlier!r}; now it "
            f"is {destination!r}, so its write key, host or destination_id was changed."
        )
        super().__init__(
            f"{self.finding} If it is the same Segment source, set destination_id to {earlier!r} in the connection. "
            "If it is another source, it has to be told everyone.",
            {**run_configuration, "on_missing_state": "full"},
        )


class TraitConflictError(GuardError):
    """Another task keeps this cohort up under another trait key, which this sync would retire; no export was spent.

    Attributes:
        other_task: the DAG and the task that named the cohort's trait key, with their Airflow where that is another.
        other_trait: that trait key.
        trait: the trait key of this task.
    """

    def __init__(
        self,
        destination: str,
        other_task: str,
        other_trait: str,
        other_template: str,
        trait: str,
        run_configuration: Mapping[str, Any],
    ) -> None:
        self.other_task = other_task
        self.other_trait = other_trait
        self.trait = trait
        super().__init__(
            f"{other_task}, sends this cohort to Segment connection {destination!r} as trait {other_trait!r} "
            f"(trait_name={other_template!r}). This task would send it as {trait!r} and set {other_trait!r} to false "
            "for every member, and the other task would undo that. No export was spent.",
            {**run_configuration, "on_trait_change": "take-over"},
            "For one trait, set the same trait_name in both tasks. For both traits, give one task a Segment connection "
            "of its own with another destination_id, which has a state of its own. If this task has replaced the other "
            "one,",
        )


class EngineError(AmplitudeSegmentError):
    """DuckDB could not do its work, mostly for want of disk or memory on the worker.

    Attributes:
        kind: DuckDB's, or Python's, name for it; DuckDB's text is not told, as it may quote users.
        folder: the worker's temporary folder, where that was refused something; ``None`` for anything else.
        reason: what the file system says of that, in words; empty where there is no folder.
        needed_bytes: about how much the work takes there at its peak (``core.room``); ``None``: not known.
    """

    retryable = True

    def __init__(self, kind: str, folder: str | None = None, reason: str = "", needed_bytes: int | None = None) -> None:
        self.kind = kind
        self.folder = folder
        self.reason = reason
        self.needed_bytes = needed_bytes
        safe = (
            "The state changes only after Segment acknowledges a batch, so no change is lost, and a retry goes on from "
            "there."
        )
        if folder is None:
            super().__init__(
                f"DuckDB failed on the worker ({kind}). {safe} Look at the worker's memory and at the space in its "
                "temporary folder."
            )
            return
        room = f"This work needs about {_megabytes(needed_bytes)} there. " if needed_bytes is not None else ""
        super().__init__(
            f"The worker's temporary folder {folder} cannot be used: {reason} ({kind}). {safe} {room}Give the "
            "worker room and the right to write there, or set TMPDIR of the worker to a folder that has both."
        )

    def needing(self, needed_bytes: int | None) -> EngineError:
        """Return this error with what the work needs, where it is the temporary folder's and does not say it yet."""
        if self.folder is None or self.needed_bytes is not None:
            return self
        return EngineError(self.kind, self.folder, self.reason, needed_bytes)


def _megabytes(count: int) -> str:
    """Return a number of bytes as it is said to people.

    >>> _megabytes(1), _megabytes(263_300_000)
    ('1 MB', '264 MB')
    """
    return f"{-(-count // 1_000_000):,} MB"


class LedgerError(AmplitudeSegmentError):
    """The memory of what Segment was told cannot be used as it is."""


class ClaimHeldError(LedgerError):
    """Another run is syncing this cohort to this destination.

    Attributes:
        holder: that run: DAG, run, task, its Airflow, the worker's host, and the try.
        expires_at: ISO-8601; from then on its claim can be taken over, unless it renews it.
        ahead: how far the claim was written ahead of this worker's clock, in words; empty where it was not.
    """

    retryable = True

    def __init__(self, destination: str, holder: str, expires_at: str, ahead: str = "") -> None:
        self.holder = holder
        self.expires_at = expires_at
        self.ahead = ahead
        clock = (
            f" The claim was written {ahead} ahead of this worker's clock, so only its length counts. {CHECK_CLOCKS}"
            if ahead
            else ""
        )
        super().__init__(
            f"{holder} is syncing this cohort to Segment connection {destination!r}. {_NOTHING_SENT} Wait until that "
            f"run ends. If it is dead, its claim ends at {expires_at}.{clock} Airflow retries this task."
        )


class ClaimLostError(LedgerError):
    """Another run took over this stream while this one was paused; this one wrote and sent nothing after that.

    Attributes:
        generation: the claim that was lost.
        newer: the claim that stands above it; ``None`` where there is none any more.
        holder: the run that owns the newer claim, as ``ClaimHeldError`` names it; empty where it is not known.
    """

    retryable = True

    def __init__(self, generation: int, newer: int | None, holder: str = "") -> None:
        self.generation = generation
        self.newer = newer
        self.holder = holder
        by = (f"claim {newer}" if newer else "a newer one") + (f" of {holder}" if holder else "")
        super().__init__(
            f"Claim {generation} of this cohort and destination was taken over by {by}. This task sent and wrote "
            "nothing more; the newer run continues. If it happens again, check whether the worker is starved. "
            f"{CHECK_CLOCKS} Airflow retries this task."
        )


class LedgerDamagedError(LedgerError):
    """A file of the ledger is missing, not what its entry says, or another program's.

    Attributes:
        path: the file, below the state path.
    """

    def __init__(self, path: str, problem: str, advice: str | None = None) -> None:
        self.path = path
        super().__init__(f"The ledger's file {path} {problem}. {advice or _RESTORE}")


class LedgerFormatError(LedgerError):
    """The ledger was written by a newer version of this package.

    Attributes:
        path: the entry, below the state path.
        found: its format version.
        known: the newest format version this package reads.
    """

    def __init__(self, path: str, found: object, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(
            f"The ledger's entry {path} has format {found!r}; this version reads up to {known}. {_NOTHING_SENT} "
            "Install the version that wrote it, or a newer one."
        )


class LedgerNotFoundError(LedgerError):
    """There is no ledger of the cohort, or none at the destination: nothing is known of what Segment was told.

    Attributes:
        cohort_id: Amplitude's cohort ID.
        found: what there are ledgers of instead.
    """

    def __init__(self, cohort_id: str, where: str, kind: str, found: Sequence[str]) -> None:
        self.cohort_id = cohort_id
        self.found = tuple(found)
        more = len(found) - _MOST_NAMED
        named = ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        there = f"there are ledgers of {kind} {named}" if found else "there is no other either"
        super().__init__(
            f"There is no ledger of cohort {cohort_id} {where}; {there}. {_NOTHING_SENT} Check "
            "the cohort's ID, state_path, the Segment connection (a changed write key needs the earlier "
            "destination_id) and integrations: they must be those that the cohort was told with."
        )


class CommitNotKeptError(LedgerError):
    """There is no such commit to go back to; the ledger is as it was.

    Attributes:
        generation: that was asked for.
        kept: generations that one can go back to.
    """

    def __init__(self, place: str, generation: int, kept: list[int]) -> None:
        self.generation = generation
        self.kept = kept
        has = f"one can go back to {', '.join(map(str, kept))}" if kept else "there is none to go back to"
        super().__init__(f"{place} keeps no earlier commit {generation}; {has}. Nothing was changed.")


class StatePathError(LedgerError):
    """The state path cannot be read or written; the sync had not begun.

    Attributes:
        path: the state path.
        reason: what the file system says, in words.
        advice: what to do, in a sentence.
    """

    def __init__(self, path: str, reason: str, advice: str = "") -> None:
        self.path = path
        self.reason = reason
        self.advice = advice or _STATE_PATH_ADVICE
        super().__init__(f"The state path {path} cannot be used: {reason}. {_NOTHING_SENT} {self.advice}")


class StateMarkError(LedgerError):
    """The place is no state path of this package: its mark is missing, or is another program's.

    Attributes:
        path: the place.
        problem: what was found there, in words.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(
            f"{path} is no state path of this package: {problem}. {_NOTHING_SENT} "
            "Nothing was changed. Check the state path: --state-path, the operator's state_path, or "
            "[amplitude_segment] state_path. If ledgers were moved there, run a sync there first, which writes the "
            "mark anew; if another program's object has that name, choose another state path. It is not retried."
        )


class StateUnavailableError(StatePathError):
    """The state path failed in a way that may pass, or in the middle of a sync.

    Attributes:
        path: the state path.
        reason: what the file system says, in words.
    """

    retryable = True

    def __init__(self, path: str, reason: str, advice: str = "") -> None:
        self.path = path
        self.reason = reason
        self.advice = advice
        text = (
            f"The state path {path} failed: {reason}. What Segment acknowledged stands as far as it was written; the "
            "next try goes on from there and tells the rest again."
        )
        LedgerError.__init__(self, f"{text} If it stays so: {advice}" if advice else text)


class SegmentError(AmplitudeSegmentError):
    """Segment was not told everything; what it acknowledged is in the ledger."""


class SegmentRefusedError(SegmentError):
    """Segment refuses us, not a message: a key that is empty or too short, or credentials refused.

    Attributes:
        status: HTTP status code; ``None`` where the messages did not even leave the machine.
        pending: changes that are not acknowledged.
    """

    def __init__(self, destination: str, status: int | None, pending: int) -> None:
        self.status = status
        self.pending = pending
        super().__init__(
            f"Segment refuses connection {destination!r} (HTTP {status}): all of a batch, message by message, or its "
            f"credentials. {pending:,} changes are not acknowledged, and no user is marked as rejected. Check write "
            "key, region and host of the connection."
        )


class SegmentAnswerError(SegmentError):
    """What answered is not Segment's Tracking API.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, destination: str, status: int, pending: int, reason: str) -> None:
        self.status = status
        self.pending = pending
        super().__init__(
            f"What answered for {destination!r} is not Segment's Tracking API (HTTP {status}: {reason}). {pending:,} "
            "changes are not acknowledged and stay pending. Check host and region of the connection, and proxies."
        )


class SegmentUnreachableError(SegmentError):
    """No connection to Segment comes about, for a reason that no retry cures.

    Attributes:
        pending: changes that are not acknowledged.
        reason: why, in words.
        advice: what cures it, in a sentence.
    """

    def __init__(self, destination: str, pending: int, reason: str, advice: str) -> None:
        self.pending = pending
        self.reason = reason
        self.advice = advice
        super().__init__(
            f"No connection to Segment for {destination!r}: {reason}. {pending:,} changes are not acknowledged and "
            f"stay pending. {advice} Then clear the task: it goes on with them. {_NOT_RETRIED}"
        )


class SegmentUnavailableError(SegmentError):
    """Segment could not be told within the retries and the time there are.

    Attributes:
        pending: changes that are not acknowledged; the next try goes on with them.
        status: HTTP status code of the last answer; ``None`` where none came.
        retry_after_seconds: what that answer asked for; ``None`` where it did not.
        advice: what to do if it stays so, in a sentence; may be empty.
    """

    retryable = True

    def __init__(
        self,
        destination: str,
        status: int | None,
        pending: int,
        reason: str,
        retry_after_seconds: float | None = None,
        advice: str = "",
    ) -> None:
        self.status = status
        self.pending = pending
        self.retry_after_seconds = retry_after_seconds
        self.advice = advice
        said = f"HTTP {status}" if status is not None else "no answer"
        text = (
            f"Segment did not take a batch for {destination!r} ({said}: {reason}). {pending:,} changes are not "
            "acknowledged; the next try goes on with them."
        )
        super().__init__(f"{text} If it stays so: {advice}" if advice else text)


class SyncStoppedError(SegmentError):
    """The task was told to stop; the batches in flight were finished.

    Attributes:
        pending: changes that are not acknowledged; the next try goes on with them.
    """

    retryable = True

    def __init__(self, destination: str | None, pending: int) -> None:
        self.pending = pending
        super().__init__(
            f"Stopped while telling {destination!r}: {pending:,} changes are not acknowledged; "
            "the next try or run goes on with them."
            if destination
            else f"Stopped while waiting for Amplitude. {_NOTHING_SENT} The next try goes on with the same export."
        )


class RejectedUsersError(SegmentError):
    """Some users were refused for good; everyone else was delivered and committed.

    Attributes:
        rejected: users refused, over all destinations.
    """

    def __init__(self, rejected: int, where: str) -> None:
        self.rejected = rejected
        super().__init__(
            f"{rejected:,} users could not be told; all others are delivered and committed. Who and why: "
            f"{where}. The next run tries them again (on_rejected='warn' lets the task succeed)."
        )
