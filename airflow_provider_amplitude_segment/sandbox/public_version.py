"""Which version of the stand-in Public API a call belongs to."""

from __future__ import annotations

from airflow_provider_amplitude_segment.sandbox.public_query import PublicApiErrorResponse

_STABLE, _BETA, _ALPHA = (f"application/vnd.segment.{version}+json" for version in ("v1", "v1beta", "v1alpha"))
_ANY = frozenset({"", "*/*", "application/*", "application/json"})

# As in the SDKs' names of the operations: a version has the calls of those that are more stable.
_HAVING_BETA, _HAVING_ALPHA = frozenset({_BETA, _ALPHA}), frozenset({_ALPHA})
_HAVING_STABLE = frozenset({_STABLE, _BETA, _ALPHA})


def check_version(path: str, accept: str) -> None:
    """Refuse a call whose ``Accept`` names a version that does not have it.

    The documents do not say what Segment responds then. The sandbox refuses the call, so that a client shows it.

    Args:
        path: below the API's address.
        accept: the header; one without a version takes any.

    Raises:
        PublicApiErrorResponse: 406.

    >>> check_version("/spaces", "application/vnd.segment.v1alpha+json")
    >>> check_version("/spaces", "application/vnd.segment.v1+json")
    Traceback (most recent call last):
    ...
    airflow_provider_amplitude_segment.sandbox.public_query.PublicApiErrorResponse: This version has no such call
    """
    taken = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if not taken & (_versions(path) | _ANY):
        raise PublicApiErrorResponse(406, "not-acceptable", "This version has no such call")


def _versions(path: str) -> frozenset[str]:
    if path.startswith("/spaces"):
        return _HAVING_ALPHA
    return _HAVING_BETA if path.startswith("/delivery-overview/") else _HAVING_STABLE
