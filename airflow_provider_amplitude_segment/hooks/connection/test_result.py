"""What the Test button says, to somebody who makes such a connection for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import AmplitudeUnreachableError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.exceptions import AmplitudeUnavailableError, SettingError
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

Verdict = tuple[bool, str]
"""Whether the test passed, and what it showed; neither a key nor anything else of the answer's body."""

_FIRST_SERVER_ERROR = 500


def unusable(error: SettingError) -> Verdict:
    """Say which field cannot be used. The connection's ID is left out: Airflow tests under one of its own.

    >>> from airflow_provider_amplitude_segment.exceptions import SettingError
    >>> unusable(SettingError("connection 'c1', field 'Write key'", "it is missing or blank", "the write key"))
    (False, "Field 'Write key': it is missing or blank. It takes the write key.")
    """
    _, _, field = error.setting.partition(", field ")
    subject = f"Field {field}" if field else error.setting
    return False, f"{subject}: {error.problem}. It takes {error.takes}."


def not_reached(endpoint: Endpoint, base_url: str, reason: str, advice: str) -> Verdict:
    """Say that nothing answered.

    :param reason: why, in words.
    :param advice: what cures it, in a sentence.
    """
    return False, (
        f"Not reached: no answer from {base_url} (data region {endpoint.region}): {reason}. {advice} Airflow's server "
        "tests, so it must be able to go there, as each worker must."
    )


def amplitude_works(endpoint: Endpoint, cohorts: int) -> Verdict:
    """Say that both keys are right."""
    accepted = f"Works: Amplitude accepts both keys (data region {endpoint.region}, {endpoint.base_url})"
    if not cohorts:
        return True, f"{accepted}, but lists no cohort: only those that are discoverable in Amplitude can be synced."
    return True, f"{accepted} and lists {'1 cohort' if cohorts == 1 else f'{cohorts:,} cohorts'}."


def amplitude_refused(endpoint: Endpoint, status: int, *, overridden: bool) -> Verdict:
    """Say why Amplitude may have refused the keys: it answers alike to a wrong key and to one of another region.

    :param overridden: the connection has a host of its own.
    """
    other = "EU" if endpoint.region == "US" else "US"
    clear = ", and clear Host" if overridden else ""
    return False, (
        f"Refused: Amplitude does not accept these keys (HTTP {status}, data region {endpoint.region}, "
        f"{endpoint.base_url}). Wrong key? Copy API key and secret key again, both of the same project. Wrong region? "
        f"If the project is in the region {other}, choose {other} as Data region{clear}."
    )


def amplitude_unavailable(endpoint: Endpoint, error: AmplitudeUnavailableError | AmplitudeUnreachableError) -> Verdict:
    """Say that nothing answered, or that Amplitude answered 429 or 5xx."""
    if isinstance(error, AmplitudeUnreachableError) or error.status is None:
        return not_reached(endpoint, endpoint.base_url, error.reason, error.advice)
    return False, (
        f"Reached, but not tested: {endpoint.base_url} is busy or unwell (HTTP {error.status}), so that the keys are "
        "not proved. Test again in some minutes."
    )


def not_amplitude(endpoint: Endpoint, status: int) -> Verdict:
    """Say that something else answered."""
    return False, (
        f"Something answers at {endpoint.base_url}, but not as Amplitude's API does (HTTP {status}). Check Host: left "
        "empty, it is the region's."
    )


def is_unwell(status: int) -> bool:
    """Return whether it was not Segment that answered, or not in good health. It has no page at ``/``: 404 is usual.

    >>> [is_unwell(status) for status in (200, 404, 503)]
    [False, False, True]
    """
    return status >= _FIRST_SERVER_ERROR


def segment_unwell(base_url: str, status: int) -> Verdict:
    """Say that a proxy or a broken server answered."""
    return False, (
        f"Not reached: {base_url} answers with HTTP {status}, which is a proxy's answer or that of a server that is "
        "unwell. Check Host and proxies, and test again in some minutes."
    )


def segment_reached(
    endpoint: Endpoint, base_url: str, status: int, debugger: str | None, *, overridden: bool = False
) -> Verdict:
    """Say that the host answers, which is all that can be tested, and where to look for the proof.

    :param debugger: URL of the source's debugger, where the connection makes it known.
    :param overridden: the connection has a host of its own, of which nothing tells whether it is Segment.
    """
    whose = ", and whether this is Segment is not proved either" if overridden else ""
    place = (
        f"look into its debugger for the users: {debugger}"
        if debugger
        else "look for the users in Segment: Connections > Sources > the source > Debugger. "
        "(With Workspace slug and Source slug the link to it would stand here.)"
    )
    return True, (
        f"Reached, but Segment accepts any key: {base_url} answers (HTTP {status}), the write key is NOT proved, nor "
        f"that its source is in the data region {endpoint.region}{whose}. Sync a small cohort with this connection, "
        f"then {place}"
    )
