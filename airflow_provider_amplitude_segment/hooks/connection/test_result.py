"""The texts of the Test button, written for a user who makes such a connection for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.response import OAuthRefused
from airflow_provider_amplitude_segment.exceptions import AmplitudeUnreachableError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.delivery.access_token import NoToken
    from airflow_provider_amplitude_segment.exceptions import AmplitudeUnavailableError, SettingError
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

Verdict = tuple[bool, str]
"""Whether the test passed, and the text for the form, which holds neither a key nor a response's body."""

APPLICATION_NOT_PROVED = (
    "Segment issues an access token to the OAuth application, but this does NOT prove that the application is "
    "connected to the source."
)
"""Of a proved write key."""

_FIRST_SERVER_ERROR = 500


def unusable(error: SettingError) -> Verdict:
    """Return which field cannot be used, without the connection's ID, because Airflow tests under another ID.

    >>> from airflow_provider_amplitude_segment.exceptions import SettingError
    >>> unusable(SettingError("connection 'c1', field 'Write key'", "it is missing or blank", "the write key"))
    (False, "Field 'Write key': it is missing or blank. It takes the write key.")
    """
    _, _, field = error.setting.partition(", field ")
    subject = f"Field {field}" if field else error.setting
    return False, f"{subject}: {error.problem}. It takes {error.takes}."


def not_reached(endpoint: Endpoint, base_url: str, reason: str, advice: str) -> Verdict:
    """Return that no response came.

    :param reason: why, in words.
    :param advice: what to do, in a sentence.
    """
    return False, (
        f"Not reached: no response from {base_url} (data region {endpoint.region}): {reason}. {advice} The test runs "
        "on Airflow's server, which must reach this host, as each worker must."
    )


def amplitude_works(endpoint: Endpoint, cohorts: int) -> Verdict:
    """Return that both keys are right."""
    accepted = f"Works: Amplitude accepts both keys (data region {endpoint.region}, {endpoint.base_url})"
    if not cohorts:
        return True, f"{accepted}, but lists no cohort. Make a cohort discoverable in Amplitude to sync it."
    return True, f"{accepted} and lists {'1 cohort' if cohorts == 1 else f'{cohorts:,} cohorts'}."


def amplitude_refused(endpoint: Endpoint, status: int, *, overridden: bool) -> Verdict:
    """Return why Amplitude may have refused the keys: its response to a wrong key and to another region is the same.

    :param overridden: whether the connection has a host of its own.
    """
    other = "EU" if endpoint.region == "US" else "US"
    clear = ", and clear Host" if overridden else ""
    return False, (
        f"Refused: Amplitude does not accept these keys (HTTP {status}, data region {endpoint.region}, "
        f"{endpoint.base_url}). Wrong key? Copy API key and secret key again, both of the same project. Wrong region? "
        f"If the project is in the region {other}, choose {other} as Data region{clear}."
    )


def amplitude_unavailable(endpoint: Endpoint, error: AmplitudeUnavailableError | AmplitudeUnreachableError) -> Verdict:
    """Return that no response came, or that Amplitude responded with 429 or 5xx."""
    if isinstance(error, AmplitudeUnreachableError) or error.status is None:
        return not_reached(endpoint, endpoint.base_url, error.reason, error.advice)
    return False, (
        f"Reached, but not tested: {endpoint.base_url} is busy or out of order (HTTP {error.status}), so the keys are "
        "not proved. Test again in some minutes."
    )


def not_amplitude(endpoint: Endpoint, status: int) -> Verdict:
    """Return that the response is not Amplitude's."""
    return False, (
        f"Reached, but not Amplitude's API: {endpoint.base_url} returns another response (HTTP {status}). Check Host. "
        "If it is empty, the region's host is used."
    )


def is_server_error(status: int) -> bool:
    """Return whether a status is a server's error. Segment itself returns 404, because it has no page at ``/``.

    >>> [is_server_error(status) for status in (200, 404, 503)]
    [False, False, True]
    """
    return status >= _FIRST_SERVER_ERROR


def segment_broken(base_url: str, status: int) -> Verdict:
    """Return that the response came from a proxy or a broken server."""
    return False, (
        f"Not reached: {base_url} returns HTTP {status}, as a proxy or a broken server does. Check Host and proxies, "
        "and test again in some minutes."
    )


def no_access_token(refusal: NoToken) -> Verdict:
    """Return that Segment issued no access token, or that no response came.

    >>> from airflow_provider_amplitude_segment.core.delivery.response import OAuthRefused
    >>> no_access_token(OAuthRefused(401, "invalid_client"))[1].partition(".")[0]
    'Refused: Segment issues no access token to this OAuth application (HTTP 401: invalid_client)'
    """
    if isinstance(refusal, OAuthRefused):
        return False, (
            f"Refused: Segment issues no access token to this OAuth application (HTTP {refusal.status}: "
            f"{refusal.reason}). Check OAuth app ID, OAuth key ID and OAuth private key, that the application is not "
            "revoked, the data region, Extra oauth_host if it is set, and the clock of Airflow's server."
        )
    advice = f" {refusal.advice}" if refusal.advice else " Test again in some minutes."
    return False, f"Not tested: {refusal.reason}.{advice}"


def access_token_issued(endpoint: Endpoint, base_url: str, debugger: str | None) -> Verdict:
    """Return that the OAuth application works and the host responds; a write key cannot be proved.

    :param debugger: URL of the source's debugger; ``None`` where the connection lacks a slug.
    """
    return True, (
        f"Works in part: Segment accepts the OAuth application and issues an access token (data region "
        f"{endpoint.region}), and {base_url} responds. This does NOT prove the write key, nor that the application is "
        f"connected to its source. Sync a small cohort with this connection, then {_where_to_look(debugger)}"
    )


def segment_reached(
    endpoint: Endpoint, base_url: str, status: int, debugger: str | None, *, overridden: bool = False
) -> Verdict:
    """Return that the host responds, which is all that can be tested, and where to see the proof.

    :param debugger: URL of the source's debugger; ``None`` where the connection lacks a slug.
    :param overridden: whether the connection has a host of its own, which may not be Segment's.
    """
    host = ", nor that this host is Segment's" if overridden else ""
    return True, (
        f"Reached, but Segment accepts any key: {base_url} responds (HTTP {status}). This does NOT prove the write "
        f"key, nor that its source is in the data region {endpoint.region}{host}. Sync a small cohort with this "
        f"connection, then {_where_to_look(debugger)}"
    )


def _where_to_look(debugger: str | None) -> str:
    if debugger:
        return f"look for the users in its debugger: {debugger}"
    return (
        "look for the users in Segment: Connections > Sources > the source > Debugger. "
        "(Set Workspace slug and Source slug to see the link here.)"
    )
