"""The list of cohorts is read as Amplitude really sends it, and a useless export is refused beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.export.cohort import (
    MAX_EXPORT_MEMBERS,
    Cohort,
    check_exportable,
    find_cohort,
    read_cohorts,
)
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    AmplitudeError,
    AmplitudeUnavailableError,
    CohortArchivedError,
    CohortNotFoundError,
    CohortTooLargeError,
    GroupCohortError,
)

NOW = 1_795_442_209.0
POWER_USERS = Cohort("26umsb5", "Power Users", "187520", size=312, last_computed=NOW - 60)


def listed(*entries: Any) -> bytes:
    """Return the body of a list."""
    return json.dumps({"cohorts": entries}).encode()


def test_an_entry_is_read_whole() -> None:
    """Every field the sync uses is read, and the others do not matter."""
    body = listed(
        {
            "appId": 187520,
            "id": "26umsb5",
            "name": "Power Users",
            "size": 312,
            "lastComputed": 1679440233,
            "archived": True,
            "definition": {"countGroup": {"name": "Account"}},
            "owners": ["eve@example.com", None, "amp"],
            "shortcut_ids": [],
            "a_field_of_next_year": {"deep": [None]},
        }
    )
    assert read_cohorts(200, body) == (
        Cohort(
            "26umsb5",
            "Power Users",
            "187520",
            312,
            1679440233.0,
            archived=True,
            group_type="Account",
            owners=("eve@example.com", "amp"),
        ),
    )


@pytest.mark.parametrize("missing", [{}, {"size": None, "lastComputed": None, "definition": None, "owners": None}])
def test_what_amplitude_never_computed_is_none(missing: dict[str, None]) -> None:
    """A cohort that was never computed is listed with nulls, or with fewer fields, and can be synced."""
    (cohort,) = read_cohorts(200, listed({"id": "26umsb5", "name": None, "appId": None, **missing}))
    assert cohort == Cohort("26umsb5", "", "", None, None, archived=False, group_type="User")
    assert check_exportable(cohort, now=NOW) is None


def test_milliseconds_are_told_from_seconds() -> None:
    """A time of 2024 in milliseconds is a time of 2024."""
    (cohort,) = read_cohorts(200, listed({"id": "26umsb5", "lastComputed": 1722873600000}))
    assert cohort.last_computed == 1722873600.0


def test_half_a_surrogate_pair_in_a_name_can_be_sent_on() -> None:
    """Whatever JSON can spell, the name can be written as UTF-8."""
    (cohort,) = read_cohorts(200, rb'{"cohorts": [{"id": "26umsb5", "name": "a\ud800b"}]}')
    assert cohort.name == "a?b"


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_region(status: int) -> None:
    """401 and 403 are one error, which says that the region may be wrong and is not retried."""
    with pytest.raises(AmplitudeCredentialsError, match="other data region") as caught:
        read_cohorts(status, b"")
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
def test_what_passes_is_retryable(status: int) -> None:
    """429 and 5xx may get better by themselves."""
    with pytest.raises(AmplitudeUnavailableError) as caught:
        read_cohorts(status, b"<html>Bad gateway</html>")
    assert caught.value.retryable
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Please log in</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"cohorts": {}}'),
        (200, b'{"cohort": []}'),
        (200, b"[" * 100_000),
        (302, b""),
        (404, b"not here"),
    ],
)
def test_anything_else_is_not_amplitude(status: int, body: bytes) -> None:
    """A proxy's page and a wrong host are named as such."""
    with pytest.raises(AmplitudeAnswerError, match="host and region"):
        read_cohorts(status, body)


@given(
    st.integers(100, 599),
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["cohorts", "id", "name", "appId", "size", "lastComputed", "archived", "definition", "owners"]
                )
                | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_answer_crashes_the_reader(status: int, body: bytes) -> None:
    """Whatever the response, the outcome is cohorts or an error of ours."""
    try:
        cohorts = read_cohorts(status, body)
    except AmplitudeError:
        return
    for cohort in cohorts:
        assert cohort.cohort_id
        cohort.name.encode()


def test_an_unknown_id_says_what_it_may_be() -> None:
    """The error has the ID and how many cohorts are listed, and no export was spent."""
    with pytest.raises(CohortNotFoundError, match=r"not discoverable.*No export was spent") as caught:
        find_cohort([POWER_USERS], "26UMSB5")
    assert caught.value.listed == 1


def test_an_archived_cohort_is_refused() -> None:
    """Archived goes before every other reason."""
    with pytest.raises(CohortArchivedError):
        check_exportable(replace(POWER_USERS, archived=True, group_type="Account"), now=NOW)


def test_a_cohort_of_groups_is_refused() -> None:
    """The error says what the cohort counts."""
    with pytest.raises(GroupCohortError, match="'Account'"):
        check_exportable(replace(POWER_USERS, group_type="Account"), now=NOW)


def test_as_many_as_an_export_holds_can_be_exported() -> None:
    """Two million is within the limit."""
    assert check_exportable(replace(POWER_USERS, size=MAX_EXPORT_MEMBERS), now=NOW) is None


def test_one_more_is_refused_where_the_size_is_fresh() -> None:
    """A size computed a minute ago is believed."""
    with pytest.raises(CohortTooLargeError, match="2,000,001") as caught:
        check_exportable(replace(POWER_USERS, size=MAX_EXPORT_MEMBERS + 1), now=NOW)
    assert caught.value.limit == MAX_EXPORT_MEMBERS


@pytest.mark.parametrize("computed", [None, NOW - 24 * 3600])
def test_one_more_is_warned_of_where_the_size_is_old(computed: float | None) -> None:
    """A size of yesterday, or of an unknown time, only warns."""
    cohort = replace(POWER_USERS, size=MAX_EXPORT_MEMBERS + 1, last_computed=computed)
    warning = check_exportable(cohort, now=NOW)
    assert warning is not None
    assert "2,000,001" in warning
