"""A write key is proved before anything is spent or sent, and what is known is not asked again."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes import World
from fakes.public_api import FakePublicApi

from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.ledger.object_names import source_file
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import encode_entry
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.core.report.summary import summarize
from airflow_provider_amplitude_segment.core.segment_api.source_check import CHECK_SECONDS
from airflow_provider_amplitude_segment.core.segment_api.workspace import ConnectedDestination, IdentifyRules
from airflow_provider_amplitude_segment.exceptions import (
    GuardError,
    SegmentApiAnswerError,
    SegmentApiError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
    SourceDisabledError,
    WriteKeyError,
)

TRAIT = "Power Users (c1)"
KEPT = source_file("fp-default")


@pytest.fixture
def api(world: World) -> FakePublicApi:
    """A workspace that connection ``segment_default`` names, with a source that has its key as the last of three."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    api = FakePublicApi(world.clock)
    api.source("web", "web")
    api.source("app", "app")
    api.source("cohorts", "default", "emea")
    world.public_apis = dict.fromkeys(("default", "emea"), api.access())
    return api


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def assert_untouched(world: World) -> None:
    assert world.amplitude.exports_spent == 0
    assert world.segment.bodies == []
    assert find_streams(world.store) == []


def test_a_proved_key_is_in_the_report_and_costs_a_handful_of_requests(world: World, api: FakePublicApi) -> None:
    report = world.sync("c1")

    assert report.destinations[0].source_checked == "proved"
    assert api.requests == ["workspace", "sources", "sources", "rules", "destinations"]
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_the_list_is_read_to_the_key_and_no_further(world: World, api: FakePublicApi) -> None:
    api.listed.reverse()

    world.sync("c1")

    assert api.requests.count("sources") == 1


def test_without_a_public_api_no_key_is_asked_about(world: World, api: FakePublicApi) -> None:
    world.public_apis = {}

    report = world.sync("c1")

    assert report.destinations[0].source_checked is None
    assert api.requests == []
    assert KEPT not in world.store.objects


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_key_of_no_source_of_the_workspace_costs_nothing(world: World, api: FakePublicApi, dry_run: bool) -> None:
    api.listed.pop()

    with pytest.raises(WriteKeyError) as caught:
        world.attempt("c1", dry_run=dry_run)

    assert_untouched(world)
    assert str(caught.value) == (
        "The write key of Segment connection 'segment_default' belongs to no source of workspace 'acme', which "
        "connection 'api' opens. Nothing was sent to Segment in this try. The state is unchanged. This try spent no "
        "export. Set the connection's write key to that of a source of this workspace, or its api_conn_id to the "
        "connection of the workspace that has the key. Airflow does not retry this task."
    )
    (part,) = world.report.destinations
    assert (part.source_checked, part.error) == (None, str(caught.value))
    assert KEPT not in world.store.objects


def test_a_disabled_source_costs_nothing(world: World, api: FakePublicApi) -> None:
    api.listed[-1].enabled = False

    with pytest.raises(SourceDisabledError, match=r"Source 'cohorts' of workspace 'acme'.*is disabled in Segment"):
        world.attempt("c1")

    assert_untouched(world)
    assert KEPT not in world.store.objects


def test_a_key_of_the_other_region_costs_nothing(world: World, api: FakePublicApi) -> None:
    world.destination_fields = {"region": "US"}
    world.public_apis["default"] = api.access("EU")

    with pytest.raises(WriteKeyError, match=r"region is EU.*Set the connection's Data region to EU") as caught:
        world.attempt("c1")

    assert caught.value.region == "EU"
    assert_untouched(world)


@pytest.mark.parametrize("regions", [("EU", "EU"), (None, "EU"), ("US", None)])
def test_regions_that_agree_or_are_not_said_are_no_error(
    world: World, api: FakePublicApi, regions: tuple[str | None, str | None]
) -> None:
    world.destination_fields = {"region": regions[0]}
    world.public_apis["default"] = api.access(regions[1])

    assert world.sync("c1").destinations[0].source_checked == "proved"


def test_what_was_cured_is_asked_again_in_the_same_run(world: World, api: FakePublicApi) -> None:
    api.listed[-1].enabled = False
    with pytest.raises(SourceDisabledError):
        world.attempt("c1", run="a")
    api.listed[-1].enabled = True

    assert world.sync("c1", run="a").destinations[0].source_checked == "proved"


REFUSED = SegmentApiRefusedError("api", "for the workspace", 401)
BUSY = SegmentApiUnavailableError("api", "which sources there are", 429, "too many requests")
DOWN = SegmentApiUnavailableError("api", "which sources there are", None, "no route", advice="Check the proxy.")
ODD = SegmentApiAnswerError("api", "for the workspace", 200, "no JSON")


@pytest.mark.parametrize("asked", ["workspace", "sources"])
@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (REFUSED, "Check the token, its rights and the region of that connection."),
        (BUSY, "If it happens again, check Segment's status page, and what else uses the token."),
        (DOWN, "Check the proxy."),
        (ODD, "Check host and region of that connection, and proxies."),
    ],
    ids=["refused", "busy", "down", "odd"],
)
def test_a_check_that_cannot_be_made_is_a_warning(
    world: World,
    api: FakePublicApi,
    caplog: pytest.LogCaptureFixture,
    fault: SegmentApiError,
    advice: str,
    asked: str,
) -> None:
    api.faults[asked] = fault

    report = world.sync("c1")

    assert report.destinations[0].source_checked == "unknown"
    assert world.segment.members(TRAIT) == {"ann", "bob"}
    (warning,) = warnings(caplog)
    assert warning.startswith(f"segment_default: the write key is not proved: {fault.happened}. The sync goes on. ")
    assert warning.endswith(advice)
    assert KEPT not in world.store.objects


def test_a_slow_api_is_not_asked_for_long(world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture) -> None:
    api.listed = []
    for number in range(1000):
        api.source(f"s{number}", str(number))
    api.seconds = 9.0

    began = world.clock.now()
    sync = world.prepare("c1")
    sync._session.prove_write_keys()

    assert world.clock.now() - began <= CHECK_SECONDS + api.seconds
    assert sync._session.proofs.source_checked("dst-default") == "unknown"
    assert "within 20 seconds" in warnings(caplog)[0]


def test_all_connections_of_a_task_have_one_limit(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keys = tuple(f"k{number}" for number in range(6))
    apis = [FakePublicApi(world.clock) for _ in keys]
    for key, api in zip(keys, apis, strict=True):
        api.seconds = 9.0
        api.source(key, key)
        world.public_apis[key] = replace(api.access(), conn_id=f"api-{key}")
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    began = world.clock.now()
    sync = world.prepare("c1", keys=keys)
    sync._session.prove_write_keys()

    assert world.clock.now() - began <= CHECK_SECONDS + 9.0
    assert [sync._session.proofs.source_checked(f"dst-{key}") for key in keys] == ["proved"] + ["unknown"] * 5
    assert len(warnings(caplog)) == 5


def test_a_source_that_a_shifting_list_leaves_out_is_found_in_a_second_one(world: World, api: FakePublicApi) -> None:
    api.shifts = [api.listed.pop()]

    assert world.sync("c1").destinations[0].source_checked == "proved"
    assert api.requests == ["workspace", "sources", "sources", "sources", "rules", "destinations"]


def test_a_second_list_that_fails_is_a_warning_and_no_error(world: World, api: FakePublicApi) -> None:
    api.listed.pop()
    api.seconds = CHECK_SECONDS / 1.5

    assert world.sync("c1").destinations[0].source_checked == "unknown"


def test_a_slow_api_that_has_found_the_key_is_asked_nothing_more(world: World, api: FakePublicApi) -> None:
    api.seconds = CHECK_SECONDS / 2

    report = world.sync("c1")

    assert api.requests == ["workspace", "sources", "sources"]
    assert report.destinations[0].source_checked == "proved"


def test_a_token_that_may_not_see_keys_is_a_warning(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.shows_keys = False

    report = world.sync("c1")

    assert report.destinations[0].source_checked == "unknown"
    assert "the token of connection 'api' may not see the write keys of workspace 'acme'" in warnings(caplog)[0]


def test_a_key_that_may_be_a_hidden_one_is_a_warning(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.listed[-1].keys = frozenset()

    report = world.sync("c1")

    assert report.destinations[0].source_checked == "unknown"
    assert "sees no key of 1 of its 3 sources" in warnings(caplog)[0]


def test_a_source_of_a_kind_without_keys_hides_none(world: World, api: FakePublicApi) -> None:
    api.listed[-1].keys, api.listed[-1].has_keys = frozenset(), False

    with pytest.raises(WriteKeyError):
        world.sync("c1")


def test_the_summary_says_that_a_key_is_not_proved(world: World, api: FakePublicApi) -> None:
    api.shows_keys = False

    lines = summarize(world.sync("c1"), ending="done.")

    assert "the write key is not proved (a warning above says why)" in lines[-1]


def test_a_token_that_sees_no_source_is_a_warning(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.listed = []

    assert world.sync("c1").destinations[0].source_checked == "unknown"
    assert "sees no source of workspace 'acme'" in warnings(caplog)[0]


def test_what_segment_does_not_say_of_a_proved_source_changes_nothing(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.faults["rules"] = REFUSED

    assert world.sync("c1").destinations[0].source_checked == "proved"
    assert warnings(caplog) == []


RULES = IdentifyRules("tp_1", drops_unplanned_traits=True, planned_traits=frozenset({"email"}))


def test_a_trait_that_the_tracking_plan_drops_is_named_in_a_warning(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.listed[-1].rules = RULES

    world.sync("c1", run="a")
    world.retire("c1", run="a")

    assert ["Segment will drop trait 'Power Users (c1)'" in warning for warning in warnings(caplog)] == [True, True]
    assert api.requests.count("rules") == 1


def test_a_source_that_feeds_amplitude_back_is_named_in_the_log(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.listed[-1].destinations = (ConnectedDestination("Actions Amplitude", "actions-amplitude", enabled=True),)

    world.sync("c1")

    assert "source 'cohorts' also feeds Amplitude" in caplog.text
    assert warnings(caplog) == []


def test_a_retry_and_another_task_of_the_dag_run_ask_nothing(world: World, api: FakePublicApi) -> None:
    world.amplitude.cohort("c2", "Buyers", ["cat"])
    world.sync("c1", run="a")
    asked = len(api.requests)

    reports = [
        world.sync("c1", run="a"),
        world.sync("c2", identity={"key": "a.1", "dag_run": "a"}),
        world.retire("c1", run="a"),
    ]

    assert len(api.requests) == asked
    assert [report.destinations[0].source_checked for report in reports] == ["proved"] * 3


def test_that_a_token_may_not_see_keys_is_asked_once_in_a_dag_run(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c2", "Buyers", ["cat"])
    api.shows_keys = False
    world.sync("c1", run="a")
    asked = len(api.requests)

    reports = [world.sync("c1", run="a"), world.sync("c2", identity={"key": "a.1", "dag_run": "a"})]

    assert len(api.requests) == asked
    assert [report.destinations[0].source_checked for report in reports] == ["unknown"] * 2
    assert ["may not see the write keys" in warning for warning in warnings(caplog)] == [True] * 3
    api.shows_keys = True
    assert world.sync("c1", run="b").destinations[0].source_checked == "proved"
    whole = {**json.loads(world.store.objects[KEPT]), "enabled": None}
    for unknown in (None, 7, {}, {"reason": 7, "advice": "x"}, {"reason": "x"}):
        world.store.objects[KEPT] = json.dumps({**whole, "unknown": unknown}).encode()
        assert world.sync("c1", run="b").destinations[0].source_checked == "proved"


@pytest.mark.parametrize("asked", ["rules", "destinations"])
def test_what_was_not_read_of_a_source_is_asked_by_the_next_task(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture, asked: str
) -> None:
    api.listed[-1].rules = RULES
    api.faults[asked] = BUSY
    world.sync("c1", run="a")
    assert KEPT not in world.store.objects
    api.faults.clear()
    caplog.clear()

    world.sync("c1", run="a")

    assert "Segment will drop trait 'Power Users (c1)'" in warnings(caplog)[0]
    assert KEPT in world.store.objects


def test_what_a_token_may_not_read_of_a_source_is_not_asked_again(world: World, api: FakePublicApi) -> None:
    api.faults["rules"] = REFUSED
    world.sync("c1", run="a")
    world.sync("c1", run="a")

    assert api.requests.count("rules") == 1


def test_a_task_that_resumes_after_its_deferral_asks_nothing(world: World, api: FakePublicApi) -> None:
    world.amplitude.answers_before_completion = [ExportPending("pending")]
    assert isinstance(world.attempt("c1", run="a", wait_for_export=False), ExportIncomplete)
    asked = len(api.requests)

    world.sync("c1", run="a")

    assert len(api.requests) == asked


def test_the_next_dag_run_and_a_cleared_one_ask_again(world: World, api: FakePublicApi) -> None:
    world.sync("c1", run="a")
    world.sync("c1", run="b")
    world.sync("c1", run="b", identity={"clear_number": 1})

    assert api.requests.count("workspace") == 3


@pytest.mark.parametrize(
    "content",
    [
        b'{"dag_run": "a", "enabled": true}',
        b"{",
        b"null",
        encode_entry({"dag_run": "a", "clear_number": 0, "enabled": True}),
        encode_entry({"dag_run": "a", "clear_number": 0, "enabled": True, "workspace": 7, "rules": []}),
    ],
    ids=["foreign", "torn", "null", "damaged", "odd"],
)
def test_what_is_no_proof_of_this_package_is_not_taken_for_one(
    world: World, api: FakePublicApi, content: bytes
) -> None:
    world.store.objects[KEPT] = content

    report = world.sync("c1", run="a")

    assert report.destinations[0].source_checked == "proved"
    assert api.requests.count("workspace") == 1
    is_foreign = content in {b'{"dag_run": "a", "enabled": true}', b"null"}
    assert (world.store.objects[KEPT] == content) is is_foreign


def test_a_damaged_field_of_a_kept_proof_is_not_taken_for_a_proof(world: World, api: FakePublicApi) -> None:
    world.sync("c1", run="a")
    whole = json.loads(world.store.objects[KEPT])
    for field in ("workspace", "source", "source_id", "rules", "enabled", "format"):
        world.store.objects[KEPT] = json.dumps({**whole, field: 7}).encode()
        api.requests.clear()
        world.sync("c1", run="a")
        assert "workspace" in api.requests


@pytest.mark.usefixtures("api")
def test_a_proof_that_cannot_be_kept_is_one_all_the_same(world: World) -> None:
    world.store.closed.add(KEPT)

    report = world.sync("c1")

    assert report.destinations[0].source_checked == "proved"
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_a_kept_proof_is_no_ledger_and_survives_a_retirement(world: World, api: FakePublicApi) -> None:
    world.sync("c1")
    assert KEPT in world.store.objects
    streams = find_streams(world.store)

    world.retire("c1")

    assert [stream.folder for stream in streams] == [stream.folder for stream in find_streams(world.store)]
    assert len(streams) == 1
    assert len(api.requests) == 10


@pytest.mark.usefixtures("api")
def test_a_kept_proof_names_no_key_and_no_user(world: World) -> None:
    world.sync("c1", run="a")

    entry = json.loads(world.store.objects[KEPT])
    assert {name: entry[name] for name in ("dag_run", "workspace", "source", "source_id", "enabled")} == {
        "dag_run": "a",
        "workspace": "acme",
        "source": "cohorts",
        "source_id": "id-cohorts",
        "enabled": True,
    }
    assert b"fp-default" not in world.store.objects[KEPT]


def test_two_destinations_of_one_connection_list_the_sources_once(world: World, api: FakePublicApi) -> None:
    report = world.sync("c1", keys=("default", "emea"))

    assert api.requests.count("workspace") == 1
    assert api.requests.count("sources") == 2
    assert [part.source_checked for part in report.destinations] == ["proved", "proved"]


@pytest.mark.usefixtures("api")
def test_one_wrong_key_refuses_all_destinations(world: World) -> None:
    world.public_apis["other"] = world.public_apis["default"]

    with pytest.raises(WriteKeyError, match="'segment_other'"):
        world.attempt("c1", keys=("default", "other"))

    assert_untouched(world)


@pytest.mark.usefixtures("api")
def test_found_slugs_complete_a_destination_and_leave_its_name(world: World) -> None:
    world.sync("c1", keys=("default", "emea"))

    assert [(d.name, d.workspace, d.source) for d in world.shown_sources] == [
        ("dst-default", "acme", "cohorts"),
        ("dst-emea", "acme", "cohorts"),
    ]
    assert {stream.destination.name for stream in find_streams(world.store)} == {"dst-default", "dst-emea"}


@pytest.mark.usefixtures("api")
def test_destinations_of_a_found_workspace_share_its_rate_limit(world: World) -> None:
    sync = world.prepare("c1", keys=("default", "emea"))

    sync._session.prove_write_keys()

    assert {destination.workspace for destination in sync._session.ports.segment_clients} == {"acme"}


@pytest.mark.usefixtures("api")
def test_slugs_of_the_connection_stay(world: World) -> None:
    world.destination_fields = {"workspace": "typed", "source": "as-typed"}

    world.sync("c1")

    assert world.shown_sources == []


def test_a_refused_retirement_sends_nothing(world: World, api: FakePublicApi) -> None:
    world.sync("c1")
    sent = world.segment.identifies
    api.listed[-1].enabled = False

    with pytest.raises(SourceDisabledError):
        world.retire("c1")

    assert world.segment.identifies == sent


def test_a_key_that_is_refuted_after_a_deferral_leaves_no_claim_and_no_export(world: World, api: FakePublicApi) -> None:
    api.faults["workspace"] = DOWN
    world.amplitude.answers_before_completion = [ExportPending("pending")]
    assert isinstance(world.attempt("c1", run="a", wait_for_export=False), ExportIncomplete)
    api.faults.clear()
    api.listed[-1].enabled = False

    with pytest.raises(SourceDisabledError):
        world.attempt("c1", run="a")

    assert not any("/runs/" in name for name in world.store.objects)
    api.listed[-1].enabled = True
    world.sync("c1", run="b")
    assert world.amplitude.exports_spent == 2


def test_an_error_holds_no_key(world: World, api: FakePublicApi) -> None:
    api.listed.pop()

    with pytest.raises(GuardError) as caught:
        world.attempt("c1")

    assert "fp-default" not in repr(vars(caught.value)) + str(caught.value)


def changed(api: FakePublicApi, **fields: Any) -> IdentifyRules:
    api.listed[-1].rules = replace(RULES, **fields)
    return api.listed[-1].rules


def test_a_plan_that_keeps_the_trait_is_no_warning(
    world: World, api: FakePublicApi, caplog: pytest.LogCaptureFixture
) -> None:
    for fields in ({"drops_unplanned_traits": False}, {"planned_traits": None}, {"planned_traits": frozenset({TRAIT})}):
        changed(api, **fields)
        world.sync("c1")

    assert warnings(caplog) == []
