"""Every error that this package raises on purpose, as one tree. "retried" marks those that Airflow retries.

    AmplitudeSegmentError
    ├── SettingError                  a parameter, a connection's field or a configuration value
    ├── UserListError                 a list of user IDs to erase
    ├── UserIdError                   a user ID to explain
    ├── XComValueError                an object that a task returned and the next one cannot read
    ├── AmplitudeError                Amplitude, or a cohort in it
    │   ├── AmplitudeCredentialsError, AmplitudeUnreachableError, AmplitudeAnswerError
    │   ├── AmplitudeUnavailableError     retried
    │   ├── CohortError
    │   │   └── CohortNotFoundError, CohortArchivedError, GroupCohortError, CohortTooLargeError
    │   └── ExportError
    │       ├── ExportsSpentError, ExportFailedError
    │       ├── ExportTimeoutError, ExportWaitError     retried
    │       ├── CohortFilesError          Amplitude's files in a bucket, which cohort_files names
    │       │   ├── CohortFilesProjectError, CohortFilesMismatchError, CohortFilesAccessError, CohortFileRefusedError
    │       │   └── CohortFilesMissingError, CohortFilesIncompleteError, CohortFilesChangedError,
    │       │       CohortFilesOlderError, CohortFilesFutureError, CohortFilesUnavailableError     retried
    │       └── ExportFileError
    │           └── ExportCutOffError     retried
    ├── GuardError                    a sync that looks wrong, refused before anything is sent
    │   ├── AskableGuardError         may be put to a person as a question (on_guard="ask")
    │   │   └── EmptyCohortError, ExitRatioError
    │   ├── FewExportsLeftError, MissingStateError, ChangedKeyError, TraitConflictError, WriteKeyError,
    │   │   SourceDisabledError
    │   └── QuestionError     retried
    ├── EngineError                   the worker's disk or memory; retried
    ├── LedgerError                   the ledger, or the state path that it is in
    │   ├── ClaimHeldError, ClaimLostError     retried
    │   ├── LedgerDamagedError, LedgerFormatError, LedgerNotFoundError, CommitNotKeptError, StateMarkError
    │   └── StatePathError
    │       └── StateUnavailableError     retried
    ├── SegmentApiError               Segment's Public API or Profile API, which prove what Segment has
    │   ├── SegmentApiRefusedError, SegmentApiUnreachableError, SegmentApiAnswerError
    │   └── SegmentApiUnavailableError     retried
    ├── VerificationError             a verification of what Segment has; nothing was sent to a source
    │   ├── MismatchError, UnfinishedSyncError, UnsentUsersError
    │   └── NewerSyncError, VerificationStoppedError     retried
    └── SegmentError                  Segment, or the way to it
        ├── SegmentRefusedError, SegmentOAuthError, SegmentAnswerError, SegmentUnreachableError,
        │   RejectedUsersError
        └── SegmentUnavailableError, SyncStoppedError     retried

A message has four parts in this order, made by ``_set_message``: what happened; what the effect is (what was not
sent, what is safe); what to do; whether it is retried. It holds counts, request IDs and names of connections, never a
secret or a user ID.
"""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECK_CLOCKS = "Check that the clocks of all workers are synchronized (NTP)."

_RETRIED = "Airflow retries this task."
_NOT_RETRIED = "Airflow does not retry this task."
_RETRY_IN_VAIN = "A retry does not help."
"""For errors of the command line, and of tasks of yours, which Airflow may retry."""

_NOTHING_SENT = "Nothing was sent to Segment in this try."
_STATE_UNCHANGED = f"{_NOTHING_SENT} The state is unchanged."
_NO_EXPORT_SPENT = "No export was spent."
_NO_EXPORT_IN_TRY = "This try spent no export."
_EXPORT_KEPT = "The next try waits for the same export."
_RESUMED = "The next try resumes with them."

# What a reason may say of the month's exports, behind a semicolon.
_SPENT = {
    "; no export was spent": _NO_EXPORT_SPENT,
    "; one of the month's exports may have been spent": "One of the month's exports may have been spent.",
}

_RESTORE = (
    "Restore it from a backup, or roll back to an earlier commit. If neither is possible, move the destination's "
    "folder away and let the next sync through with on_missing_state='full'; users who exited before that keep true."
)

_STATE_PATH_ADVICE = "Set state_path, or [amplitude_segment] state_path, to a place that every worker can write."

_MOST_NAMED = 20


class AmplitudeSegmentError(Exception):
    """Any error that this package raises on purpose.

    Attributes:
        retryable: whether a retry can succeed although nothing is changed by hand.
        happened: what happened, which is the first part of the text.

    Several errors have these attributes:
        status: HTTP status code of the last response; ``None`` if none came, or no request was sent.
        doing: the request, in words.
        reason: why, in words; may be empty.
        advice: what to do, or what to do if it happens again, in a sentence; may be empty.
        pending: changes that are not acknowledged; a retry, or the task when it is cleared, resumes with them.
        path: the file, the folder or the state path.
    """

    retryable: ClassVar[bool] = False
    happened: str = ""
    _not_retried: ClassVar[str] = _NOT_RETRIED

    def _set_message(self, happened: str, effect: str, advice: str) -> None:
        """Make the text of the three parts, as sentences, and of whether the error is retried.

        Args:
            happened: what happened, with counts and names.
            effect: what was not sent or changed, and what is safe.
            advice: what to do.

        >>> error = AmplitudeSegmentError()
        >>> error._set_message("The disk is full", "Nothing was sent.", "Make room")
        >>> str(error)
        'The disk is full. Nothing was sent. Make room. Airflow does not retry this task.'
        """
        parts = (part if part.endswith((".", "…")) else f"{part}." for part in (happened, effect, advice))
        Exception.__init__(self, " ".join([*parts, self._retry_sentence]))
        self.happened = happened

    @property
    def _retry_sentence(self) -> str:
        return _RETRIED if self.retryable else self._not_retried

    @property
    def summary(self) -> str:
        """The text without its last sentence, for a command and for a log line of a task that goes on."""
        return str(self).removesuffix(f" {self._retry_sentence}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild a copy from its text and its attributes, because ``args`` holds the text and not the arguments."""
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[AmplitudeSegmentError], args: tuple[Any, ...]) -> AmplitudeSegmentError:
    return kind.__new__(kind, *args)


def _status(status: int | None) -> str:
    return "no response" if status is None else f"HTTP {status}"


def _pending(pending: int) -> str:
    if pending == 1:
        return "1 change is not acknowledged and stays pending."
    return f"{pending:,} changes are not acknowledged and stay pending."


def _reset(resets_at: str | None) -> str:
    return f"the count resets at {resets_at}" if resets_at else "Amplitude does not report when the count resets"


def _split_spent(reason: str) -> tuple[str, str]:
    """Return a reason without what it says of the month's exports, and the effect with it.

    >>> _split_spent("the server closed the connection; no export was spent")
    ('the server closed the connection', 'Nothing was sent to Segment in this try. No export was spent.')
    """
    for ending, effect in _SPENT.items():
        if reason.endswith(ending):
            return reason.removesuffix(ending), f"{_NOTHING_SENT} {effect}"
    return reason, _NOTHING_SENT


class SettingError(AmplitudeSegmentError):
    """A setting is missing or of the wrong shape.

    Attributes:
        setting: the parameter's name, or the connection's and its field's as the form shows it.
        problem: what is wrong with it, in words.
        takes: what it takes, in words.
    """

    def __init__(self, setting: str, problem: str, takes: str) -> None:
        self.setting = setting
        self.problem = problem
        self.takes = takes
        self._set_message(f"{setting}: {problem}", _NOTHING_SENT, f"Use {takes}")


class UserListError(AmplitudeSegmentError):
    """A list of user IDs cannot be read as it is written; nothing was erased.

    Attributes:
        problem: what is wrong with it, in words, and from a second sentence on what cures that; never a user ID.
    """

    _not_retried = _RETRY_IN_VAIN

    def __init__(self, problem: str) -> None:
        self.problem = problem
        happened, _, cure = problem.partition(". ")
        self._set_message(
            f"The list of user IDs cannot be used: {happened}",
            "Nothing was erased.",
            f"{cure}. "
            * bool(cure)
            + "Give a CSV file with a header that names the column user_id, as Amplitude exports it, or one user ID "
            "a line, in quotation marks if it holds a quotation mark or a line break.",
        )


class UserIdError(AmplitudeSegmentError):
    """A user ID on standard input cannot be read; nothing was searched.

    Attributes:
        problem: what is wrong with it, in words; never the ID.
    """

    _not_retried = _RETRY_IN_VAIN

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self._set_message(
            f"The user ID on standard input cannot be used: {problem}",
            "Nothing was changed.",
            "Give one user ID in UTF-8, as Amplitude exports it; one line break at its end does not count.",
        )


class XComValueError(AmplitudeSegmentError):
    """A task returned an object that Airflow would write into an XCom, and that no task could read back.

    Attributes:
        kind: the object's class.
        instead: what to return, in words.
    """

    _not_retried = _RETRY_IN_VAIN

    def __init__(self, kind: str, instead: str) -> None:
        self.kind = kind
        self.instead = instead
        self._set_message(
            f"A value of the class {kind} cannot pass from one task to another.",
            "No XCom was written.",
            f"Return {instead}",
        )


class AmplitudeError(AmplitudeSegmentError):
    """Amplitude, or a cohort in it, is not as the sync needs it; nothing was sent."""


class AmplitudeCredentialsError(AmplitudeError):
    """Amplitude responded with 401 or 403."""

    def __init__(self, status: int) -> None:
        self.status = status
        self._set_message(
            f"Amplitude refused the credentials (HTTP {status}): the API key or the secret key is wrong, or "
            "belongs to a project of the other data region (US or EU).",
            _NOTHING_SENT,
            "Check API key, secret key and data region of the Amplitude connection.",
        )


class AmplitudeUnavailableError(AmplitudeError):
    """Amplitude could not be reached, or responded with 429 or 5xx until the retries were spent."""

    retryable = True

    def __init__(self, doing: str, status: int | None, reason: str = "", advice: str = "") -> None:
        self.doing = doing
        self.status = status
        self.reason = reason
        self.advice = advice or "Check Amplitude's status page and the connection's host."
        why, effect = _split_spent(reason)
        self._set_message(
            f"Amplitude: {doing}: {_status(status)}{f' ({why})' if why else ''}",
            effect,
            f"If it happens again: {self.advice}",
        )


class AmplitudeUnreachableError(AmplitudeError):
    """No connection to Amplitude or to its storage is possible, for a reason that no retry cures."""

    def __init__(self, doing: str, reason: str, advice: str) -> None:
        self.doing = doing
        self.reason = reason
        self.advice = advice
        why, effect = _split_spent(reason)
        self._set_message(f"Amplitude: {doing}: no connection: {why}", effect, advice)


class AmplitudeAnswerError(AmplitudeError):
    """The response is none that Amplitude documents."""

    def __init__(self, doing: str, status: int, problem: str) -> None:
        self.doing = doing
        self.status = status
        what, effect = _split_spent(problem)
        self._set_message(
            f"Amplitude: {doing}: HTTP {status}, {what}",
            effect,
            "Check host and region of the Amplitude connection, and proxies.",
        )


class CohortError(AmplitudeError):
    """The cohort cannot be synced; no export was spent.

    Attributes:
        cohort_id: Amplitude's cohort ID.
    """

    _effect: ClassVar[str] = _NO_EXPORT_SPENT

    def __init__(self, cohort_id: str, problem: str, advice: str) -> None:
        self.cohort_id = cohort_id
        self._set_message(f"Cohort {cohort_id} {problem}", f"{_NOTHING_SENT} {self._effect}", advice)


class CohortNotFoundError(CohortError):
    """Amplitude's list of cohorts does not show the cohort.

    Attributes:
        listed: how many cohorts the list shows.
    """

    def __init__(self, cohort_id: str, listed: int) -> None:
        self.listed = listed
        super().__init__(
            cohort_id,
            f"is not on Amplitude's list, which has {listed:,}: it does not exist, is not discoverable, or belongs to "
            "another project or region",
            "Check the ID (the last part of the cohort's URL), make the cohort discoverable, "
            "or use the connection of its project.",
        )


class CohortArchivedError(CohortError):
    """The cohort is archived in Amplitude."""

    _effect = f"{_NO_EXPORT_SPENT} Segment keeps the values already delivered."

    def __init__(self, cohort_id: str) -> None:
        super().__init__(cohort_id, "is archived in Amplitude", "Unarchive it there, or remove it from the DAG.")


class GroupCohortError(CohortError):
    """The cohort is one of groups (accounts), not of users.

    Attributes:
        group_type: what Amplitude counts in it.
    """

    def __init__(self, cohort_id: str, group_type: str) -> None:
        self.group_type = group_type
        super().__init__(
            cohort_id,
            f"is a cohort of groups ({group_type!r}), not of users",
            "Use a cohort of users, because only users have a user ID.",
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
    """An export, or its file, is not available or cannot be used; nothing was sent.

    Attributes:
        request_id: Amplitude's ID of the export, if there is one.
    """

    def __init__(
        self,
        request_id: str | None,
        message: str,
        advice: str = "Clear the task to request a new export.",
        effect: str = _NOTHING_SENT,
    ) -> None:
        self.request_id = request_id
        self._set_message(message, effect, advice)


class ExportsSpentError(ExportError):
    """The month's exports are spent, by Amplitude's own count.

    Attributes:
        usage: exports counted this month.
        limit: exports the plan has a month.
        resets_at: when the count resets, as Amplitude reports it; ``None`` if it does not.
    """

    def __init__(self, usage: int, limit: int, resets_at: str | None) -> None:
        self.usage = usage
        self.limit = limit
        self.resets_at = resets_at
        super().__init__(
            None,
            f"Amplitude refused the export: {usage:,} of {limit:,} exports of this month are spent, and "
            f"{_reset(resets_at)}",
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
        if request_id:
            super().__init__(
                request_id,
                f"Export {request_id} was not complete after {waited_seconds:,.0f} s (Amplitude reported: "
                f"{last_status})",
                "Raise export_timeout if this cohort takes longer.",
                f"{_NOTHING_SENT} {_EXPORT_KEPT}",
            )
        else:
            super().__init__(
                request_id,
                f"Amplitude accepted no export within {waited_seconds:,.0f} s (it reported: {last_status})",
                "Run fewer syncs at once, e.g. with a pool, or raise export_timeout.",
            )


class ExportWaitError(ExportError):
    """The triggerer stopped waiting for an export; the next try waits for the same one.

    Attributes:
        reason: why, in words; the text of another error of this package is taken apart into its parts.
    """

    retryable = True

    def __init__(self, request_id: str, reason: str) -> None:
        self.reason = reason
        # The trigger's event holds the text of another error, whose parts come in the same order.
        happened, _, others = reason.removesuffix(f" {_RETRIED}").partition(f" {_NOTHING_SENT} ")
        super().__init__(
            request_id,
            f"Waiting for export {request_id} in the triggerer ended early: {happened}",
            f"{others} See also the triggerer's log." if others else "If it happens again, check the triggerer's log.",
            f"{_NOTHING_SENT} {_EXPORT_KEPT}",
        )


class ExportFailedError(ExportError):
    """Amplitude refused an export, or reported that it failed."""

    def __init__(self, request_id: str | None, status: int, reason: str) -> None:
        self.status = status
        if request_id:
            super().__init__(
                request_id,
                f"Amplitude gave up export {request_id} (HTTP {status}: {reason})",
                "Clear the task to request a new one.",
            )
        else:
            super().__init__(
                request_id,
                f"Amplitude refused to export the cohort (HTTP {status}: {reason})",
                "Export the cohort by hand in Amplitude; if that fails too, ask Amplitude's support.",
            )


class ExportFileError(ExportError):
    """The export's file is not a cohort of users.

    Attributes:
        fault: what is wrong with it, in words.
    """

    advice: ClassVar[str] = "Check the cohort in Amplitude, then clear the task to request a new export."
    _effect: ClassVar[str] = _NOTHING_SENT

    def __init__(self, fault: str, request_id: str | None = None) -> None:
        self.fault = fault
        export = f"export {request_id}" if request_id else "the export"
        super().__init__(request_id, f"The file of {export} is refused: {fault}", self.advice, self._effect)


class ExportCutOffError(ExportFileError):
    """The export's file ends early, or may; another download may be whole."""

    retryable = True
    advice: ClassVar[str] = (
        "If it happens again, a proxy on the way cuts the file, or drops what says where it ends: fetch it past that "
        "proxy (Extra proxies or trust_env of the Amplitude connection). If the listed size is old, open the cohort in "
        "Amplitude, which computes it."
    )
    _effect = f"{_NOTHING_SENT} The retry fetches the same export again and spends none."


class CohortFilesError(ExportError):
    """Amplitude's cohort files cannot be synced; nothing was sent, and no export was spent.

    Attributes:
        cohort_id: Amplitude's cohort ID; empty where the error concerns the whole folder.
        place: the folder, as ``cohort_files`` names it.
    """

    def __init__(self, cohort_id: str, place: str, problem: str, advice: str) -> None:
        self.cohort_id = cohort_id
        self.place = place
        whose = f" of cohort {cohort_id}" if cohort_id else ""
        super().__init__(None, f"The cohort files{whose} in {place}: {problem}", advice, _NOTHING_SENT)


class CohortFilesMissingError(CohortFilesError):
    """Amplitude has not written a set of files for the cohort yet.

    Attributes:
        waited: how long the DAG run has waited, in words; ``None`` where that is not known.
        others: how many other cohorts have files there.
    """

    retryable = True

    def __init__(self, cohort_id: str, place: str, waited: str | None, others: int) -> None:
        self.waited = waited
        self.others = others
        since = f", {waited} after the DAG run began" if waited else ""
        super().__init__(
            cohort_id,
            place,
            f"none is there yet{since}; {others:,} other cohorts have files there",
            "Check in Amplitude that the cohort is synced to Amazon S3, and that bucket and path are those of "
            "cohort_files.",
        )


class CohortFilesProjectError(CohortFilesError):
    """The files of this cohort ID belong to another project, or to several.

    Attributes:
        project_id: the project that Amplitude lists for the cohort; empty where it lists none.
        found: the projects that have files of it.
    """

    def __init__(self, cohort_id: str, place: str, project_id: str, found: Sequence[str]) -> None:
        self.project_id = project_id
        self.found = tuple(found)
        of = ", ".join(repr(project) for project in found)
        super().__init__(
            cohort_id,
            place,
            f"they are of Amplitude project {of}, and the connection's project is {project_id or 'not listed'}",
            "Use the Amplitude connection of that project, or the folder that this project's destination writes.",
        )


class CohortFilesIncompleteError(CohortFilesError):
    """No set has all of its three files; or none does that is newer than the set which was synced before.

    Attributes:
        stamp: of the newest set.
        lack: what it lacks, in words.
        waited: how long the DAG run has waited, in words; ``None`` where that is not known.
        synced: the stamp of the newest complete set, which was synced before; empty where no set is complete.
    """

    retryable = True

    def __init__(
        self, cohort_id: str, place: str, stamp: str, lack: str, waited: str | None, *, synced: str = ""
    ) -> None:
        self.stamp = stamp
        self.lack = lack
        self.waited = waited
        self.synced = synced
        since = f", {waited} after the DAG run began" if waited else ""
        newer = f" that is newer than the one with stamp {synced}, which was synced before" if synced else ""
        super().__init__(
            cohort_id,
            place,
            f"no set is complete{newer}{since}. Of the newest, with stamp {stamp}: {lack}",
            "If it happens again, check the destination's status in Amplitude.",
        )


class CohortFilesOrderError(CohortFilesError):
    """The newest set by its stamp was synced before, and another set was written after it, with an earlier stamp.

    Attributes:
        stamp: of the set that was synced before.
        written: when it was written, in UTC.
        later_stamp: of the set that was written after it.
        later_written: when that was written, in UTC.
    """

    retryable = True

    def __init__(
        self, cohort_id: str, place: str, stamp: str, written: str, *, later_stamp: str, later_written: str
    ) -> None:
        self.stamp = stamp
        self.written = written
        self.later_stamp = later_stamp
        self.later_written = later_written
        super().__init__(
            cohort_id,
            place,
            f"the newest set by its stamp, {stamp}, was written at {written} and was synced before. The set with the "
            f"earlier stamp {later_stamp} was written after it, at {later_written}, so it is unclear which is newer",
            "Wait for the next set, or, if the files with the earlier stamp are an old copy, move them away. If "
            "Amplitude stamps new sets so, use the API, and ask Amplitude's support.",
        )


class CohortFilesChangedError(CohortFilesError):
    """The set was deleted or written again while it was read; the next try chooses again."""

    retryable = True

    def __init__(self, cohort_id: str, place: str) -> None:
        super().__init__(
            cohort_id,
            place,
            "the set that this run reads has changed, or is gone",
            "If it happens again, check what else writes there, and let the lifecycle rule keep files for some days.",
        )


class CohortFilesOlderError(CohortFilesError):
    """The newest set may be older than what was synced last, and an older one is never delivered after a newer one.

    Attributes:
        stamp: of the newest set.
        older_by: by how much it is older than what was synced last, in words; ``None`` where it is not.
        after_export: how soon after the last export's request it was written, in words; ``None`` where that is not the
            reason.
    """

    retryable = True

    def __init__(
        self, cohort_id: str, place: str, stamp: str, older_by: str | None, *, after_export: str | None = None
    ) -> None:
        self.stamp = stamp
        self.older_by = older_by
        self.after_export = after_export
        which = f"the newest set, with stamp {stamp}, "
        if older_by is not None:
            problem = f"{which}is {older_by} older than what was synced last"
            advice = "Wait for the next set."
        else:
            problem = (
                f"{which}was written {after_export or 'soon'} after the last export was requested, so Amplitude may "
                "have computed it before the export"
            )
            advice = "Wait for the next set that is written an hour or more after the export."
        super().__init__(
            cohort_id, place, problem, f"{advice} If none comes, check the destination's status in Amplitude."
        )


class CohortFilesFutureError(CohortFilesError):
    """The newest set is dated in the future, so it cannot be ordered.

    Attributes:
        stamp: of that set.
        ahead: by how much, in words.
    """

    retryable = True

    def __init__(self, cohort_id: str, place: str, stamp: str, ahead: str) -> None:
        self.stamp = stamp
        self.ahead = ahead
        super().__init__(
            cohort_id,
            place,
            f"the set with stamp {stamp} is dated {ahead} in the future",
            f"{CHECK_CLOCKS} If a program other than Amplitude wrote these files, move them away.",
        )


class CohortFilesMismatchError(CohortFilesError):
    """The membership that the files give does not have the size that Amplitude lists, so their meaning is in doubt.

    Attributes:
        stamp: of the set.
        listed: users that Amplitude lists, anonymous ones included; ``None`` where it never computed the cohort.
        existing: users in *existing* alone.
        computed: users in *existing* and *entering* without those in *exiting*.
        both: users in *entering* and in *exiting*.
    """

    def __init__(
        self, cohort_id: str, place: str, stamp: str, listed: int | None, existing: int, computed: int, both: int
    ) -> None:
        self.stamp = stamp
        self.listed = listed
        self.existing = existing
        self.computed = computed
        self.both = both
        size = "no size" if listed is None else f"{listed:,} users"
        contradiction = f", and {both:,} users are both in entering and in exiting" if both else ""
        super().__init__(
            cohort_id,
            place,
            f"Amplitude lists {size}. In the set with stamp {stamp}, existing + entering - exiting has {computed:,} "
            f"users, and existing alone has {existing:,}{contradiction}",
            "Check the cohort's size in Amplitude: opening it there computes it. If the files are wrong, use the API "
            "until Amplitude's support has explained them.",
        )


class CohortFileRefusedError(CohortFilesError):
    """One file of a set is not a file of users.

    Attributes:
        name: the file's.
        fault: what is wrong with it, in words; never a row's text.
    """

    def __init__(self, cohort_id: str, place: str, name: str, fault: str) -> None:
        self.name = name
        self.fault = fault
        super().__init__(
            cohort_id,
            place,
            f"{name} is refused: {fault}",
            "Check the destination's settings in Amplitude. The next DAG run reads the next set.",
        )


class CohortFilesAccessError(CohortFilesError):
    """The folder of the cohort files cannot be read, for a reason that no retry cures.

    Attributes:
        reason: why, in words.
    """

    def __init__(self, place: str, reason: str, advice: str = "") -> None:
        self.reason = reason
        self.advice = advice or "Check the folder, and that the connection may list and read it."
        super().__init__("", place, reason, self.advice)


class CohortFilesUnavailableError(CohortFilesError):
    """The folder of the cohort files failed for a transient reason.

    Attributes:
        reason: why, in words.
    """

    retryable = True

    def __init__(self, place: str, reason: str, advice: str = "") -> None:
        self.reason = reason
        self.advice = advice or "Check the store's status, and the connection."
        super().__init__("", place, reason, f"If it happens again: {self.advice}")


class GuardError(AmplitudeSegmentError):
    """A sync that looks wrong was refused before anything was sent; the ledger is as it was.

    Attributes:
        run_configuration: the refused run's configuration, with what lets this sync through once; empty where only the
            connection, or its source, can be changed.
    """

    _effect: str = _STATE_UNCHANGED

    def __init__(
        self,
        message: str,
        run_configuration: dict[str, Any],
        advice: str = "Check the cohort in Amplitude. If it is right,",
    ) -> None:
        self.run_configuration = run_configuration
        self._set_message(
            message,
            self._effect,
            f"{advice} let it through once: trigger a DAG that takes these as parameters, as the example DAGs do, "
            f"with the configuration {json.dumps(run_configuration)}",
        )


class AskableGuardError(GuardError):
    """A guard that compares the export with the state, and that a person may answer with ``on_guard="ask"``.

    Attributes:
        destination: the Segment connection.
        planned_changes: location of the file with the changes that would have been sent; ``None`` if it was not
            written.
        answer: how the question to a person ended, in a sentence; ``None`` if it was not asked.
    """

    def __init__(
        self,
        message: str,
        destination: str,
        run_configuration: dict[str, Any],
        planned_changes: str | None = None,
        answer: str | None = None,
    ) -> None:
        self.destination = destination
        self.planned_changes = planned_changes
        self.answer = answer
        self._finding = message
        listed = f" The planned changes are listed in {planned_changes}" if planned_changes else ""
        self._effect = f"{_STATE_UNCHANGED}{listed}"
        super().__init__(message if answer is None else f"{message}. {answer}", run_configuration)

    def with_details(self, planned_changes: str | None, answer: str | None = None) -> Self:
        """Return this error with the file of the planned changes, and with how the question to a person ended."""
        error = copy(self)
        AskableGuardError.__init__(
            error, self._finding, self.destination, self.run_configuration, planned_changes, answer
        )
        return error


class EmptyCohortError(AskableGuardError):
    """The export has no member, and members are known.

    Attributes:
        known: users who may be members at Segment now.
        anonymous: rows of the export without a user ID.
    """

    def __init__(self, destination: str, known: int, anonymous: int, run_configuration: Mapping[str, Any]) -> None:
        self.known = known
        self.anonymous = anonymous
        super().__init__(
            f"The export has no member ({anonymous:,} anonymous), but Segment connection {destination!r} may have "
            f"{known:,} (on_empty_cohort='fail')",
            destination,
            {**run_configuration, "on_empty_cohort": "sync"},
        )


class ExitRatioError(AskableGuardError):
    """More members would exit than ``max_exit_ratio`` allows.

    Attributes:
        leaving: those of ``told`` who are members no more.
        told: users whose last delivered value is ``true``, under any of the cohort's trait keys.
        max_exit_ratio: the share that is allowed.
    """

    def __init__(
        self, destination: str, leaving: int, told: int, max_exit_ratio: float, run_configuration: Mapping[str, Any]
    ) -> None:
        self.leaving = leaving
        self.told = told
        self.max_exit_ratio = max_exit_ratio
        super().__init__(
            f"{leaving:,} of {told:,} members at Segment connection {destination!r} would exit "
            f"({leaving / told:.0%}), more than max_exit_ratio={max_exit_ratio:g} allows",
            destination,
            {**run_configuration, "max_exit_ratio": None},
        )


class QuestionError(GuardError):
    """A guard refuses the sync, and the question to a person could not be put; the next try puts it again.

    Attributes:
        finding: what the guard found, in a sentence.
        reason: why the question could not be put, in words.
    """

    retryable = True

    def __init__(self, finding: str, reason: str) -> None:
        self.finding = finding
        self.reason = reason
        self.run_configuration = {}
        self._set_message(
            f"{finding.rstrip('.')}, and the question to a person could not be put: {reason}",
            f"{_STATE_UNCHANGED} {_EXPORT_KEPT}",
            "If it happens again, set on_guard to 'fail'; its error has the configuration that lets this sync through.",
        )


class FewExportsLeftError(GuardError):
    """Fewer exports are left this month than ``min_exports_left``; none was spent.

    Attributes:
        left: exports left this month, by Amplitude's own count.
        min_exports_left: how many must be left.
        resets_at: when the count resets, as Amplitude reports it; ``None`` if it does not.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_SPENT}"

    def __init__(
        self, left: int, min_exports_left: int, resets_at: str | None, run_configuration: Mapping[str, Any]
    ) -> None:
        self.left = left
        self.min_exports_left = min_exports_left
        self.resets_at = resets_at
        super().__init__(
            f"{left:,} of this month's exports are left, fewer than min_exports_left={min_exports_left}, and "
            f"{_reset(resets_at)}",
            {**run_configuration, "min_exports_left": 0},
            "Wait until the count resets, or sync less often. If this sync is worth an export,",
        )


class MissingStateError(GuardError):
    """An earlier sync is recorded that the ledger does not have.

    Attributes:
        finding: what was found, in a sentence.
        found: generation of the ledger's newest entry; 0 if it has none.
        remembered: generation that Airflow, or the ledger's own hint, recorded.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_IN_TRY}"

    def __init__(
        self, destination: str, place: str, found: int, remembered: int, run_configuration: Mapping[str, Any]
    ) -> None:
        self.found = found
        self.remembered = remembered
        has = f"ends at sync {found}" if found else "is empty"
        self.finding = (
            f"Airflow, or the ledger's current.json, recorded sync {remembered} for Segment connection "
            f"{destination!r}, but the ledger {place} {has}."
        )
        super().__init__(
            self.finding,
            {**run_configuration, "on_missing_state": "full"},
            "Check that state_path is the same on every worker, or restore the ledger from a backup. Without a backup, "
            "a sync sends every member and a retirement every user that is left; users recorded only in the lost part "
            "keep true. To accept that,",
        )


class ChangedKeyError(GuardError):
    """The connection delivered this cohort before, to a destination of another name.

    Attributes:
        finding: what was found, in a sentence.
        destination: its name now.
        earlier: its name before.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_IN_TRY}"

    def __init__(
        self, segment_conn_id: str, destination: str, earlier: str, run_configuration: Mapping[str, Any]
    ) -> None:
        self.destination = destination
        self.earlier = earlier
        self.finding = (
            f"Segment connection {segment_conn_id!r} delivered this cohort before, to destination {earlier!r}; now it "
            f"is {destination!r}, because its write key, host or destination_id was changed."
        )
        super().__init__(
            self.finding,
            {**run_configuration, "on_missing_state": "full"},
            f"If it is the same Segment source, set destination_id to {earlier!r} in the connection. If it is another "
            "source, which needs every member,",
        )


class TraitConflictError(GuardError):
    """Another task sends this cohort under another trait key, which this sync would retire; no export was spent.

    Attributes:
        other_task: the DAG and the task that named the cohort's trait key, with their Airflow if that is another.
        other_trait: that trait key.
        trait: the trait key of this task.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_IN_TRY}"

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
            f"{other_task} sends this cohort to Segment connection {destination!r} as trait {other_trait!r} "
            f"(trait_name={other_template!r}). This task would send it as {trait!r} and set {other_trait!r} to false "
            "for every member, and the other task would undo that",
            {**run_configuration, "on_trait_change": "take-over"},
            "For one trait, set the same trait_name in both tasks. For both traits, give one task a Segment connection "
            "of its own with another destination_id, which has a state of its own. If this task has replaced the other "
            "one,",
        )


class WriteKeyError(GuardError):
    """The write key belongs to no source of the workspace, or the connection sends to another data region.

    Attributes:
        conn_id: the connection that has the write key.
        api_conn_id: the connection whose token opens the workspace.
        workspace: the workspace's slug.
        region: the workspace's data region, if the connection sends to another one; else ``None``.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_IN_TRY}"

    def __init__(self, conn_id: str, api_conn_id: str, workspace: str, region: str | None = None) -> None:
        self.conn_id = conn_id
        self.api_conn_id = api_conn_id
        self.workspace = workspace
        self.region = region
        self.run_configuration = {}
        happened = (
            f"The write key of Segment connection {conn_id!r} belongs to no source of workspace {workspace!r}, which "
            f"connection {api_conn_id!r} opens"
        )
        advice = (
            "Set the connection's write key to that of a source of this workspace, or its api_conn_id to the "
            "connection of the workspace that has the key."
        )
        if region:
            happened = (
                f"The write key of Segment connection {conn_id!r} is one of workspace {workspace!r}, whose data region "
                f"is {region}, and the connection sends to another region"
            )
            advice = f"Set the connection's Data region to {region}, and leave its Host empty."
        self._set_message(happened, self._effect, advice)


class SourceDisabledError(GuardError):
    """The source is disabled: Segment responds with 200 and drops every message.

    Attributes:
        conn_id: the connection that has the write key.
        source: the source's slug.
        workspace: the workspace's slug.
    """

    _effect = f"{_STATE_UNCHANGED} {_NO_EXPORT_IN_TRY}"

    def __init__(self, conn_id: str, source: str, workspace: str) -> None:
        self.conn_id = conn_id
        self.source = source
        self.workspace = workspace
        self.run_configuration = {}
        self._set_message(
            f"Source {source!r} of workspace {workspace!r}, which has the write key of Segment connection "
            f"{conn_id!r}, is disabled in Segment",
            self._effect,
            "Use the write key of an enabled source, or enable this one in its settings in Segment.",
        )


class EngineError(AmplitudeSegmentError):
    """DuckDB failed, mostly because the worker lacks disk space or memory.

    Attributes:
        kind: DuckDB's, or Python's, name for it; DuckDB's text is left out, because it may quote users.
        folder: the worker's temporary folder, if that was refused something; ``None`` for anything else.
        needed_bytes: about how much the work takes there at its peak (``core.disk_space``); ``None``: not known.
    """

    retryable = True

    def __init__(self, kind: str, folder: str | None = None, reason: str = "", needed_bytes: int | None = None) -> None:
        self.kind = kind
        self.folder = folder
        self.reason = reason
        self.needed_bytes = needed_bytes
        happened = f"DuckDB failed on the worker ({kind})"
        advice = "Check the worker's memory and the space in its temporary folder."
        if folder is not None:
            happened = f"The worker's temporary folder {folder} cannot be used: {reason} ({kind})"
            room = f"This work needs about {_megabytes(needed_bytes)} there. " if needed_bytes is not None else ""
            advice = (
                f"{room}Give the worker space and write permission there, or set TMPDIR of the worker to a folder that "
                "has both."
            )
        effect = "The ledger has all that was written before, so no change is lost. A repetition resumes."
        self._set_message(happened, effect, advice)

    def needing(self, needed_bytes: int | None) -> EngineError:
        """Return this error with what the work needs, if it is about the temporary folder and does not say it yet."""
        if self.folder is None or self.needed_bytes is not None:
            return self
        return EngineError(self.kind, self.folder, self.reason, needed_bytes)


def _megabytes(count: int) -> str:
    """Return a number of bytes in words.

    >>> _megabytes(1), _megabytes(263_300_000)
    ('1 MB', '264 MB')
    """
    return f"{-(-count // 1_000_000):,} MB"


class LedgerError(AmplitudeSegmentError):
    """The ledger, or the state path that it is in, cannot be used as it is."""


class ClaimHeldError(LedgerError):
    """Another run is syncing this cohort to this destination.

    Attributes:
        holder: that run: DAG, run, task, its Airflow, the worker's host, and the try.
        expires_at: ISO-8601; from then on another run can take its claim over, unless it renews it.
        ahead: how far the claim was written ahead of this worker's clock, in words; empty if it was not.
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
        self._set_message(
            f"{holder} is syncing this cohort to Segment connection {destination!r}",
            _NOTHING_SENT,
            f"Wait until that run ends. If it is dead, its claim expires at {expires_at}.{clock}",
        )


class ClaimLostError(LedgerError):
    """Another run took over this stream while this one was paused; this one wrote and sent nothing after that.

    Attributes:
        generation: the claim that was lost.
        newer: the higher claim; ``None`` if there is none any more.
        holder: the run that owns the newer claim, as ``ClaimHeldError`` names it; empty if it is not known.
    """

    retryable = True

    def __init__(self, generation: int, newer: int | None, holder: str = "") -> None:
        self.generation = generation
        self.newer = newer
        self.holder = holder
        by = (f"The newer claim {newer}" if newer else "A newer claim") + (f" of {holder}" if holder else "")
        self._set_message(
            f"{by} took over claim {generation} of this cohort and destination",
            "This task sent and wrote nothing more; the newer run continues.",
            f"If it happens again, check whether the worker is overloaded. {CHECK_CLOCKS}",
        )


class LedgerDamagedError(LedgerError):
    """A file of the ledger is missing, not what its entry says, or another program's."""

    def __init__(self, path: str, problem: str, advice: str | None = None) -> None:
        self.path = path
        self._set_message(
            f"The ledger's file {path} {problem}",
            "The file was not used, and Segment keeps the values already delivered.",
            advice or _RESTORE,
        )


class LedgerFormatError(LedgerError):
    """The ledger has another format than this version of the package reads and writes.

    Attributes:
        found: its format version.
        known: the format version this package reads.
    """

    def __init__(self, path: str, found: object, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        self._set_message(
            f"The ledger's entry {path} has format {found!r}, and this version reads format {known}",
            _NOTHING_SENT,
            "Install the version that wrote it on every worker, or start a new ledger at another state_path.",
        )


class LedgerNotFoundError(LedgerError):
    """There is no ledger of the cohort, or none of it at the destination.

    Attributes:
        cohort_id: Amplitude's cohort ID.
        found: what there are ledgers of instead.
    """

    def __init__(self, cohort_id: str, where: str, kind: str, found: Sequence[str]) -> None:
        self.cohort_id = cohort_id
        self.found = tuple(found)
        more = len(found) - _MOST_NAMED
        named = ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        there = f"there are ledgers of {kind} {named}" if found else "there is no other ledger"
        self._set_message(
            f"There is no ledger of cohort {cohort_id} {where}; {there}",
            _NOTHING_SENT,
            "Check the cohort's ID, state_path, the Segment connection (a changed write key needs the earlier "
            "destination_id) and integrations: they must equal those of the syncs.",
        )


class CommitNotKeptError(LedgerError):
    """There is no such commit to roll back to; the ledger is as it was.

    Attributes:
        generation: the one that was asked for.
        kept: generations of the commits to choose from.
    """

    _not_retried = _RETRY_IN_VAIN

    def __init__(self, place: str, generation: int, kept: list[int]) -> None:
        self.generation = generation
        self.kept = kept
        self._set_message(
            f"The ledger {place} has no earlier commit {generation}",
            "Nothing was changed.",
            f"Choose one of its commits: {', '.join(map(str, kept))}"
            if kept
            else "Choose another ledger: this one has no commit to roll back to.",
        )


class StatePathError(LedgerError):
    """The state path cannot be read or written; the sync had not begun."""

    def __init__(self, path: str, reason: str, advice: str = "") -> None:
        self.path = path
        self.reason = reason
        self.advice = advice or _STATE_PATH_ADVICE
        self._set_message(f"The state path {path} cannot be used: {reason}", _NOTHING_SENT, self.advice)


class StateMarkError(LedgerError):
    """The place is no state path of this package: its mark is missing, or is another program's.

    Attributes:
        problem: what was found there, in words.
    """

    _not_retried = _RETRY_IN_VAIN

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        self._set_message(
            f"{path} is no state path of this package: {problem}",
            "Nothing was sent or changed.",
            "Check the state path: --state-path, the operator's state_path, or [amplitude_segment] state_path. If "
            "ledgers were moved there, run a sync there first, which writes the mark. If another program's object "
            "has that name, choose another state path.",
        )


class StateUnavailableError(StatePathError):
    """The state path failed for a transient reason, or in the middle of a sync."""

    retryable = True

    def __init__(self, path: str, reason: str, advice: str = "") -> None:
        self.path = path
        self.reason = reason
        self.advice = advice
        self._set_message(
            f"The state path {path} failed: {reason}",
            "Acknowledged changes stay delivered as far as they were written. The next try resumes from there and "
            "sends the rest again.",
            f"If it happens again: {advice or 'Check its space, quota, permissions and response time.'}",
        )


class SegmentApiError(AmplitudeSegmentError):
    """Segment's Public API or Profile API did not say what was asked; nothing was sent to a source."""


class SegmentApiRefusedError(SegmentApiError):
    """It refuses the token: wrong, expired, without rights, or of another region or space.

    Attributes:
        conn_id: the connection that has the token.
    """

    def __init__(self, conn_id: str, doing: str, status: int) -> None:
        self.conn_id = conn_id
        self.doing = doing
        self.status = status
        self._set_message(
            f"Segment refuses the token of connection {conn_id!r} while it is asked {doing} (HTTP {status})",
            _NOTHING_SENT,
            "Check the token, its rights and the region of the connection, then clear the task.",
        )


class SegmentApiAnswerError(SegmentApiError):
    """The response is none that Segment documents for the request."""

    def __init__(self, conn_id: str, doing: str, status: int, reason: str) -> None:
        self.conn_id = conn_id
        self.doing = doing
        self.status = status
        self.reason = reason
        self._set_message(
            f"The response for connection {conn_id!r} is not what Segment documents (asked {doing}: HTTP {status}: "
            f"{reason})",
            _NOTHING_SENT,
            "Check host and region of the connection, and proxies, then clear the task.",
        )


class SegmentApiUnreachableError(SegmentApiError):
    """No connection to it is possible, for a reason that no retry cures."""

    def __init__(self, conn_id: str, doing: str, reason: str, advice: str) -> None:
        self.conn_id = conn_id
        self.doing = doing
        self.reason = reason
        self.advice = advice
        self._set_message(
            f"Segment was not asked {doing}: no connection for {conn_id!r}: {reason}", _NOTHING_SENT, advice
        )


class SegmentApiUnavailableError(SegmentApiError):
    """It did not respond, or is busy, within the retries.

    Attributes:
        retry_after_seconds: what its last response asked for; ``None`` if it did not.
    """

    retryable = True

    def __init__(
        self,
        conn_id: str,
        doing: str,
        status: int | None,
        reason: str,
        retry_after_seconds: float | None = None,
        advice: str = "",
    ) -> None:
        self.conn_id = conn_id
        self.doing = doing
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.advice = advice
        lasting = advice or "Check Segment's status page, and what else uses the token."
        self._set_message(
            f"Segment did not say {doing} for connection {conn_id!r} ({_status(status)}: {reason})",
            _NOTHING_SENT,
            f"If it happens again: {lasting}",
        )


class VerificationError(AmplitudeSegmentError):
    """A verification did not show that Segment has what the ledger says; nothing was sent to a source."""


class MismatchError(VerificationError):
    """Segment has another value than the ledger for too many users of the sample.

    Attributes:
        segment_conn_id: the Segment connection.
        mismatches: users of the sample for whom Segment has another value, or none where the ledger has ``true``.
        compared: users of the sample whom Segment could be asked for.
        limit: ``max_mismatch_ratio``.
        healed: pairs of trait and user that were set in doubt, so that the next sync sends them again.
        where: the file that names the users; empty where it was not written.
        was_to_heal: whether the verification had ``heal=True``.
    """

    def __init__(
        self,
        segment_conn_id: str,
        mismatches: int,
        compared: int,
        limit: float,
        healed: int,
        where: str = "",
        *,
        was_to_heal: bool = False,
    ) -> None:
        self.segment_conn_id = segment_conn_id
        self.mismatches = mismatches
        self.compared = compared
        self.limit = limit
        self.healed = healed
        self.where = where
        self.was_to_heal = was_to_heal
        ratio = mismatches / compared if compared else 1.0
        listed = f"Check the users in {where}" if where else "Check the verify report"
        if healed:
            repair = "then run the next sync, which sends them again"
        elif was_to_heal:
            repair = "remove what kept them from being healed, which the verify report names, and clear this task"
        else:
            repair = "then repair them with heal=True, or all users with a sync in sync_mode='full'"
        self._set_message(
            f"Segment connection {segment_conn_id!r}: {mismatches:,} of {compared:,} users differ from the ledger "
            f"({ratio:.2%}, and max_mismatch_ratio allows {limit:.2%})",
            f"{_NOTHING_SENT} "
            + (f"The ledger has {healed:,} users in doubt." if healed else "The ledger is unchanged."),
            f"{listed}, {repair}",
        )


class UnfinishedSyncError(VerificationError):
    """The last sync did not end with a commit and is not running, so there is no state to verify.

    Attributes:
        segment_conn_id: the Segment connection.
        generation: of the plan without a commit.
    """

    def __init__(self, segment_conn_id: str, generation: int) -> None:
        self.segment_conn_id = segment_conn_id
        self.generation = generation
        self._set_message(
            f"The last sync to Segment connection {segment_conn_id!r} did not end: plan {generation} has no commit",
            _STATE_UNCHANGED,
            "Clear the task of that sync, which resumes, or run the next sync; then clear this task.",
        )


class UnsentUsersError(VerificationError):
    """Users were set in doubt by a healing or a rollback, and no sync has sent them since.

    Attributes:
        segment_conn_id: the Segment connection.
        generation: of the commit that has them in doubt.
        in_doubt: these users.
    """

    def __init__(self, segment_conn_id: str, generation: int, in_doubt: int) -> None:
        self.segment_conn_id = segment_conn_id
        self.generation = generation
        self.in_doubt = in_doubt
        self._set_message(
            f"Segment connection {segment_conn_id!r}: commit {generation} has {in_doubt:,} users in doubt, and no sync "
            "has sent them since",
            f"{_STATE_UNCHANGED} Until they are sent, Segment may lack them.",
            "Run the sync first, which sends them, then clear this task.",
        )


class NewerSyncError(VerificationError):
    """A sync changed the ledger while its state was verified, so what Segment has is not comparable any more.

    Attributes:
        segment_conn_id: the Segment connection.
        generation: of the commit that was verified.
        newest: of the newest entry.
    """

    retryable = True

    def __init__(self, segment_conn_id: str, generation: int, newest: int) -> None:
        self.segment_conn_id = segment_conn_id
        self.generation = generation
        self.newest = newest
        self._set_message(
            f"Segment connection {segment_conn_id!r}: the ledger went from commit {generation} to entry {newest} while "
            "it was verified",
            f"{_NOTHING_SENT} No user was set in doubt.",
            "If it happens again, let no sync of this cohort run during the verification, for instance with "
            "max_active_runs=1.",
        )


class VerificationStoppedError(VerificationError):
    """Airflow stopped the task.

    Attributes:
        segment_conn_id: the Segment connection that was verified.
        healed: users that were set in doubt before, at other destinations.
    """

    retryable = True

    def __init__(self, segment_conn_id: str, healed: int = 0) -> None:
        self.segment_conn_id = segment_conn_id
        self.healed = healed
        in_doubt = f"{healed:,} users of other destinations are in doubt." if healed else "No user was set in doubt."
        self._set_message(
            f"The task was stopped while it verified Segment connection {segment_conn_id!r}",
            f"{_NOTHING_SENT} {in_doubt}",
            "If no retry is left, clear the task.",
        )


class SegmentError(AmplitudeSegmentError):
    """Not every change was delivered to Segment; the ledger has what Segment acknowledged."""


class SegmentRefusedError(SegmentError):
    """Segment refuses the connection, not a message: its key is empty or too short, or its credentials are refused."""

    def __init__(self, destination: str, status: int | None, pending: int) -> None:
        self.status = status
        self.pending = pending
        self._set_message(
            f"Segment refuses connection {destination!r} ({_status(status)}): each message of a batch, or its "
            "credentials",
            f"{_pending(pending)} No user is marked as rejected.",
            "Check write key, region and host of the connection, and whether the source demands OAuth, then clear the "
            "task.",
        )


class SegmentOAuthError(SegmentError):
    """Segment issues no access token to the connection's OAuth application, or the source refuses a new token.

    Attributes:
        is_of_source: whether the source refuses a token; otherwise Segment issued none.
    """

    def __init__(self, destination: str, status: int | None, pending: int, reason: str, *, is_of_source: bool) -> None:
        self.status = status
        self.pending = pending
        self.reason = reason
        self.is_of_source = is_of_source
        who = "The source of" if is_of_source else "Segment's token endpoint refuses the OAuth application of"
        refuses = " refuses the OAuth application" if is_of_source else ""
        advice = (
            "Check that the OAuth application is connected to the source and not revoked, and the connection's region"
            if is_of_source
            else "Check oauth_app_id, oauth_key_id, oauth_private_key and region of the connection, that the "
            "application is not revoked, and the worker's clock"
        )
        self._set_message(
            f"{who} connection {destination!r}{refuses} ({_status(status)}: {reason})",
            f"{_pending(pending)} No user is marked as rejected.",
            f"{advice}, then clear the task.",
        )


class SegmentAnswerError(SegmentError):
    """The response is none of Segment's Tracking API."""

    def __init__(self, destination: str, status: int, pending: int, reason: str) -> None:
        self.status = status
        self.pending = pending
        self._set_message(
            f"The response for connection {destination!r} is none of Segment's Tracking API (HTTP {status}: {reason})",
            _pending(pending),
            "Check host and region of the connection, and proxies, then clear the task.",
        )


class SegmentUnreachableError(SegmentError):
    """No connection to Segment is possible, for a reason that no retry cures."""

    def __init__(self, destination: str, pending: int, reason: str, advice: str) -> None:
        self.pending = pending
        self.reason = reason
        self.advice = advice
        self._set_message(
            f"Segment: no connection for {destination!r}: {reason}",
            _pending(pending),
            f"{advice} Then clear the task, which resumes.",
        )


class SegmentUnavailableError(SegmentError):
    """Segment did not acknowledge a batch within the retries.

    Attributes:
        retry_after_seconds: what that response asked for; ``None`` if it did not.
        is_posted: whether the batch was posted; ``False`` where an access token was missing.
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
        *,
        is_posted: bool = True,
    ) -> None:
        self.status = status
        self.pending = pending
        self.retry_after_seconds = retry_after_seconds
        self.advice = advice
        self.is_posted = is_posted
        rate = ", or lower events_per_second" if is_posted else ", and Extra oauth_host of the connection"
        lasting = advice or f"Check Segment's status page and the network{rate}."
        what = (
            f"Segment did not acknowledge a batch of connection {destination!r} ({_status(status)}: {reason})"
            if is_posted
            else f"A batch of connection {destination!r} waited for an access token in vain ({reason})"
        )
        self._set_message(
            what,
            f"{_pending(pending)} {_RESUMED}",
            f"If it happens again: {lasting}",
        )


class SyncStoppedError(SegmentError):
    """Airflow stopped the task; the batches in flight were finished."""

    retryable = True

    def __init__(self, destination: str | None, pending: int) -> None:
        self.pending = pending
        doing, effect = "it waited for Amplitude", f"{_NOTHING_SENT} The next try reuses an export that was requested."
        if destination:
            doing = f"it sent to connection {destination!r}"
            effect = f"The batches in flight were finished. {_pending(pending)} {_RESUMED}"
        advice = "If no retry is left, clear the task."
        self._set_message(f"The task was stopped while {doing}", effect, advice)


class RejectedUsersError(SegmentError):
    """Some users were rejected; all others were delivered and committed.

    Attributes:
        rejected: users rejected, over all destinations.
    """

    def __init__(self, rejected: int, where: str) -> None:
        self.rejected = rejected
        users = "1 user" if rejected == 1 else f"{rejected:,} users"
        self._set_message(
            f"Segment, or a size limit, rejected {users}",
            "All others are delivered and committed. The next run sends the rejected ones again.",
            f"Check the users and the reasons in {where}. To let the task succeed, set on_rejected='warn'.",
        )
