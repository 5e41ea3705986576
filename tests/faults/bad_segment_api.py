"""Bad responses of Segment's Public API and Profile API, which no reader may choke on, and no error may quote."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.stream import key_fingerprint
from airflow_provider_amplitude_segment.core.segment_api.count_responses import count_by_reason, count_volume
from airflow_provider_amplitude_segment.core.segment_api.profile_responses import read_trait, read_user_ids
from airflow_provider_amplitude_segment.core.segment_api.public_responses import (
    read_connected_destinations,
    read_drops_unplanned_traits,
    read_planned_traits,
    read_sources,
    read_spaces,
    read_suppressed,
    read_tracking_plan_id,
    read_workspace,
)
from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, read_response
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOW = 1_795_392_000.0
_REQUEST = ApiRequest("segment_api_default", "anything")
_LISTS = ("sources", "rules", "destinations", "suppressed", "spaces", "dataset", "result")
_OBJECTS = ("workspace", "source", "settings", "pagination")
_FIELDS = ("id", "slug", "name", "enabled", "writeKeys", "type", "jsonSchema", "metadata", "subjectIds", "series")
_MORE_FIELDS = ("subjectType", "eventType", "discardReason", "total", "identify", "next", "trackingPlanId", "count")
_WORDS = st.sampled_from(["IDENTIFY", "identify", "USER_ID", "user_id", "not_found", "Profile was not found."])
_HIDDEN = "hush-0123456789-0123456789-0123456789"


def segment_bodies(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return bodies of which the outer names are mostly Segment's, with any of these values in them."""
    inner = st.one_of(values, _WORDS, st.just(_HIDDEN), st.lists(st.one_of(values, st.just(_HIDDEN)), max_size=3))
    schema = st.fixed_dictionaries({"properties": st.one_of(inner, st.dictionaries(st.just("traits"), inner))})
    entry = st.dictionaries(st.sampled_from([*_FIELDS, *_MORE_FIELDS]), st.one_of(inner, schema), max_size=8)
    rows = st.one_of(inner, st.lists(st.one_of(entry, inner), max_size=3))
    data = st.fixed_dictionaries(
        {}, optional={**dict.fromkeys(_LISTS, rows), **dict.fromkeys(_OBJECTS, st.one_of(entry, inner))}
    )
    error = st.dictionaries(st.sampled_from(["type", "message", "data", "code"]), inner)
    profile = st.dictionaries(
        st.sampled_from(["traits", "data", "cursor", "error"]), st.one_of(inner, rows, entry, error, schema)
    )
    bodies = st.one_of(
        data.map(lambda found: {"data": found}), profile, st.lists(error).map(lambda found: {"errors": found})
    )
    return bodies.map(lambda value: json.dumps(value).encode())


def check_segment_response(status: int, headers: dict[str, str], body: bytes) -> None:
    """Read a response with every reader; whatever it is, it is a value or an error of ours, and quotes nothing."""
    response = HttpResponse(status, headers, body)
    with _ours():
        data = read_response(response, _REQUEST, now=_NOW)
        if isinstance(data, RetryLater):
            assert data.after_seconds is None or 0 <= data.after_seconds < float("inf")
            assert _HIDDEN not in repr(data)
        else:
            cursor = data.next_cursor()
            assert cursor is None or cursor
            readers: list[Callable[[], object]] = [
                partial(read_workspace, data),
                partial(read_tracking_plan_id, data),
                partial(read_drops_unplanned_traits, data),
                partial(read_planned_traits, [data]),
                partial(read_connected_destinations, data),
                partial(read_spaces, data),
                partial(count_by_reason, [data]),
                partial(count_volume, [data]),
            ]
            for read in readers:
                with _ours():
                    read()
            with _ours():
                assert _HIDDEN not in repr([s.keys for s in read_sources(data, partial(key_fingerprint, "host"))])
            with _ours():
                assert all(user.encode() for user in read_suppressed(data))
    for read_profile in (partial(read_trait, trait="traits"), read_user_ids):
        with _ours():
            assert _HIDDEN not in repr(read_profile(response, _REQUEST, now=_NOW))


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    said = ""
    try:
        yield
    except AmplitudeSegmentError as error:
        said = str(error)
    said.encode()
    assert _HIDDEN not in said, said
