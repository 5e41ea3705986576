"""User properties go along as traits, and a changed value is a move."""

import csv
import io
import json
from pathlib import Path

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.membership.membership import read_membership
from airflow_provider_amplitude_segment.exceptions import ExportFileError, SettingError

TRAIT = "Power Users (c1)"
VALUES = ["007", "NULL", "null", "a,b", "line\nbreak", " a ", "é", 'q"q', "\\", "\x01", "{}", '{"a":1}', "[1]", "😀"]
NAMES = ["plan", "gp:home town", "a/b~1c", 'q"q', "it's", "$.x", "0", "é😀", "c0", "\\", "{}"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.amplitude.properties = {"ann": {"plan": "pro", "country": "NO"}, "bob": {"plan": "free"}}
    return world


def test_members_have_their_properties_as_traits_and_none_where_amplitude_has_no_value(world: World) -> None:
    report = world.sync("c1", user_properties=("country", "plan"))

    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": "NO"}
    assert world.segment.traits("bob") == {TRAIT: True, "plan": "free"}
    assert (report.destinations[0].entered, report.destinations[0].changed) == (2, 0)


def test_without_the_parameter_nothing_is_exported_along_and_nothing_but_the_membership_told(world: World) -> None:
    world.sync("c1")

    assert world.amplitude.columns == {"export-1": ()}
    assert world.segment.traits("ann") == {TRAIT: True}


def test_a_changed_value_is_a_move_and_the_others_stay(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    world.amplitude.properties["bob"]["plan"] = "pro"

    report = world.sync("c1", user_properties=("country", "plan")).destinations[0]

    assert (report.planned, report.changed, report.unchanged, report.entered) == (1, 1, 1, 0)
    assert world.segment.traits("bob") == {TRAIT: True, "plan": "pro"}
    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].planned == 0


def test_a_value_that_is_gone_takes_the_trait_back_once(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    del world.amplitude.properties["ann"]["country"]

    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].changed == 1
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": None}
    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].planned == 0


def test_a_trait_that_was_never_told_is_never_taken_back(world: World) -> None:
    """Another source may have set it."""
    world.sync("c1", user_properties=("country", "plan"))
    world.amplitude.properties["bob"]["plan"] = "pro"

    world.sync("c1", user_properties=("country", "plan"))

    assert "country" not in world.segment.traits("bob")


def test_who_exits_is_told_false_alone_and_who_enters_again_has_what_is_true_by_then(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    world.amplitude.users["c1"] = ["bob"]
    world.sync("c1", user_properties=("country", "plan"), max_exit_ratio=None)
    assert world.segment.bodies[-1]["batch"][-1]["traits"] == {TRAIT: False}

    world.amplitude.users["c1"] = ["ann", "bob"]
    world.amplitude.properties["ann"] = {"plan": "free"}
    world.sync("c1", user_properties=("country", "plan"))

    assert world.segment.traits("ann") == {TRAIT: True, "plan": "free", "country": None}


def test_one_property_more_tells_those_who_have_it_and_one_less_nobody(world: World) -> None:
    world.sync("c1", user_properties=("plan",))

    more = world.sync("c1", user_properties=("country", "plan")).destinations[0]
    less = world.sync("c1", user_properties=("plan",)).destinations[0]
    none = world.sync("c1").destinations[0]

    assert (more.changed, less.planned, none.planned) == (1, 0, 0)
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": "NO"}


def test_a_property_that_comes_back_to_the_list_is_still_known(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    world.sync("c1")
    del world.amplitude.properties["ann"]["country"]

    world.sync("c1", user_properties=("country", "plan"))

    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": None}


def test_a_rename_tells_properties_under_the_new_key_and_takes_back_what_the_old_one_left(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    world.amplitude.cohort("c1", "Champions", ["ann", "bob"])
    del world.amplitude.properties["ann"]["country"]

    world.sync("c1", user_properties=("country", "plan"))

    assert world.segment.traits("ann") == {TRAIT: False, "Champions (c1)": True, "plan": "pro", "country": None}
    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].planned == 0


def test_a_value_whose_answer_was_lost_is_taken_back_when_it_is_gone(world: World) -> None:
    """Segment may hold it, so it does not count as never sent."""
    world.sync("c1")
    world.segment.lost = [no_response("ConnectionError")] * 50
    with pytest.raises(Exception, match="acknowledged"):
        world.sync("c1", user_properties=("country", "plan"))
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": "NO"}
    world.segment.lost = []
    del world.amplitude.properties["ann"]["country"]

    report = world.sync("c1", user_properties=("country", "plan")).destinations[0]

    assert (report.in_doubt, report.changed) == (2, 0)
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "country": None}
    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].planned == 0


def test_whenever_the_process_dies_the_retry_ends_with_what_is_true(tmp_path: Path) -> None:
    """Killed before each single write of a sync in which one user changed, one enters and one leaves."""
    write, died = 0, True
    while died:
        write += 1
        world = World(tmp_path / str(write))
        world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
        world.amplitude.properties = {"ann": {"plan": "pro"}, "bob": {"plan": "free"}}
        world.sync("c1", user_properties=("plan",))
        world.amplitude.users["c1"] = ["ann", "cid"]
        world.amplitude.properties = {"ann": {}, "bob": {"plan": "free"}, "cid": {"plan": "new"}}
        world.store.die_before_write(write)
        died = False
        try:
            world.sync("c1", user_properties=("plan",), run="r", max_exit_ratio=None)
        except Killed:
            died = True
            world.store.revive()
            world.sync("c1", user_properties=("plan",), run="r", max_exit_ratio=None)
        assert world.segment.traits("ann") == {TRAIT: True, "plan": None}
        assert world.segment.traits("bob") == {TRAIT: False, "plan": "free"}
        assert world.segment.traits("cid") == {TRAIT: True, "plan": "new"}
        world.store.revive()
        assert world.sync("c1", user_properties=("plan",)).destinations[0].planned == 0
    assert write > 8


def test_a_full_sync_tells_every_member_every_property(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    sent = world.segment.identifies

    world.sync("c1", user_properties=("country", "plan"), sync_mode="full")

    traits = [message["traits"] for message in world.segment.bodies[-1]["batch"]]
    assert world.segment.identifies == sent + 2
    assert traits == [{TRAIT: True, "country": "NO", "plan": "pro"}, {TRAIT: True, "plan": "free"}]


def test_a_run_cleared_with_other_properties_exports_anew(world: World) -> None:
    world.segment.refuses_connections = True
    with pytest.raises(Exception, match="acknowledged"):
        world.sync("c1", run="r")
    world.segment.refuses_connections = False

    world.sync("c1", run="r", user_properties=("plan",))

    assert world.amplitude.columns == {"export-1": (), "export-2": ("plan",)}
    assert world.segment.traits("bob") == {TRAIT: True, "plan": "free"}


def test_a_property_of_the_traits_name_is_refused_before_an_export_is_spent(world: World) -> None:
    with pytest.raises(SettingError, match="user_properties"):
        world.sync("c1", user_properties=(TRAIT,))

    assert (world.segment.bodies, world.amplitude.exports_spent) == ([], 0)


def test_twenty_properties_of_hundreds_of_members_are_told_and_told_again_where_one_changed(world: World) -> None:
    """Parsing them as JSON for each comparison took more memory than the engine has."""
    names = tuple(sorted(f"property {number}" for number in range(20)))
    users = [f"user-{number}" for number in range(400)]
    world.amplitude.cohort("c1", "Power Users", users)
    world.amplitude.properties = {user: {name: f"{name} of {user} " * 4 for name in names} for user in users}
    world.sync("c1", user_properties=names)
    world.amplitude.properties["user-7"]["property 7"] = "another one"

    part = world.sync("c1", user_properties=names).destinations[0]

    assert (part.planned, part.changed) == (1, 1)
    for user in users:
        assert world.segment.traits(user) == {TRAIT: True, **world.amplitude.properties[user]}


def test_a_list_that_was_taken_away_leaves_a_state_that_syncs_can_still_read_and_write(world: World) -> None:
    """A wide state of thousands, and a wide plan that was given up, under an engine that was not opened for them."""
    names = tuple(sorted(f"property {number}" for number in range(20)))
    users = [f"user-{number}" for number in range(6_000)]
    world.amplitude.cohort("c1", "Power Users", users)
    world.amplitude.properties = {user: {name: f"{name} of {user}, " * 5 for name in names} for user in users}
    world.sync("c1", user_properties=names)
    world.amplitude.properties = {user: {name: f"{name} of {user}; " * 5 for name in names} for user in users}
    world.segment.refuses_connections = True
    with pytest.raises(Exception, match="acknowledged"):
        world.sync("c1", user_properties=names)
    world.segment.refuses_connections = False

    assert world.sync("c1").destinations[0].in_doubt == len(users)
    assert world.sync("c1").destinations[0].planned == 0
    part = world.sync("c1", user_properties=names).destinations[0]

    assert part.changed == len(users)
    assert world.segment.traits("user-7")["property 7"] == "property 7 of user-7; " * 5


def test_after_many_renames_what_was_told_first_is_still_taken_back(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    for number in range(8):
        world.amplitude.cohort("c1", f"Champions {number}", ["ann", f"new-{number}"])
        world.sync("c1", user_properties=("plan",), max_exit_ratio=None)
    del world.amplitude.properties["ann"]["country"]

    world.sync("c1", user_properties=("country", "plan"))

    assert world.segment.traits("ann")["country"] is None
    assert world.segment.traits("ann")["plan"] == "pro"
    assert world.sync("c1", user_properties=("country", "plan")).destinations[0].planned == 0


def test_a_lost_answer_stays_in_doubt_although_a_message_without_the_property_is_acknowledged(world: World) -> None:
    """Amplitude returns to the value delivered before, and Segment may hold the one sent in between."""
    world.sync("c1", user_properties=("plan",))
    world.amplitude.properties["bob"]["plan"] = "pro"
    world.segment.lost = [no_response("ConnectionError")] * 50
    with pytest.raises(Exception, match="acknowledged"):
        world.sync("c1", user_properties=("plan",))
    world.segment.lost = []
    world.sync("c1")
    world.amplitude.properties["bob"]["plan"] = "free"

    world.sync("c1", user_properties=("plan",))

    assert world.segment.traits("bob")["plan"] == "free"


def test_who_has_more_than_fits_is_told_of_the_membership_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.sync("c1", user_properties=("bio", "plan"))
    world.amplitude.properties["ann"]["bio"] = '"' * 9_000
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", "cid"])
    world.amplitude.properties["cid"] = {"bio": "x" * 40_000}

    part = world.sync("c1", user_properties=("bio", "plan")).destinations[0]

    assert (part.planned, part.acknowledged, part.rejected) == (1, 1, 0)
    assert world.segment.traits("cid") == {TRAIT: True}
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro"}
    assert "2 members have user properties of more than 4,000 bytes" in caplog.text
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.sync("c1", user_properties=("bio", "plan"), max_exit_ratio=None)
    assert world.segment.members(TRAIT) == {"bob"}


def test_a_dry_run_lists_what_would_be_sent_of_each_property(world: World) -> None:
    world.sync("c1", user_properties=("country", "plan"))
    world.amplitude.properties["ann"] = {"plan": 'the "best"'}

    part = world.sync("c1", user_properties=("country", "plan"), dry_run=True).destinations[0]

    assert part.planned_changes is not None
    listed = world.store.objects[part.planned_changes.partition(":")[2]].decode()
    (row,) = csv.DictReader(io.StringIO(listed))
    assert (row["user_id"], json.loads(row["properties"])) == ("ann", {"country": None, "plan": 'the "best"'})


def test_names_that_differ_in_case_alone_are_two_properties(world: World) -> None:
    world.amplitude.properties = {"ann": {"plan": "small", "Plan": "capital"}}

    world.sync("c1", user_properties=("Plan", "plan"))

    assert world.segment.traits("ann") == {TRAIT: True, "plan": "small", "Plan": "capital"}


def test_values_and_names_arrive_to_the_last_character(world: World) -> None:
    """Each user has one odd value under every odd name; then each value changes by one character."""
    users = [f"user-{number}" for number in range(len(VALUES))]
    world.amplitude.cohort("c1", "Power Users", users)
    for ending in ("", "'"):
        values = {user: f"{value}{ending}" for user, value in zip(users, VALUES, strict=True)}
        world.amplitude.properties = {user: dict.fromkeys(NAMES, value) for user, value in values.items()}

        part = world.sync("c1", user_properties=(*NAMES, "nobody has it")).destinations[0]

        assert part.planned == len(users)
        for user, value in values.items():
            assert world.segment.traits(user) == {TRAIT: True, **dict.fromkeys(NAMES, value)}
        assert world.sync("c1", user_properties=(*NAMES, "nobody has it")).destinations[0].planned == 0


def read(tmp_path: Path, text: str, *properties: str) -> dict[str, dict[str, str]]:
    file = tmp_path / "export"
    file.write_text(text)
    with open_engine(tmp_path) as engine:
        membership = read_membership(engine, file, tmp_path, properties)
        rows = engine.execute(f"FROM read_parquet('{membership.properties}')").fetchall()
    return {user: dict(zip(properties, values, strict=True)) for user, *values in rows}


def test_a_user_who_stands_in_several_rows_has_the_same_values_in_whatever_order_they_come(tmp_path: Path) -> None:
    rows = ['"1","ann","free",""', '"2","ann","pro","NO"', '"3","","none","DE"']
    header = '"amplitude_id","user_id","plan","country"'

    one = read(tmp_path, "\n".join([header, *rows]) + "\n", "plan", "country")
    other = read(tmp_path, "\n".join([header, *reversed(rows)]) + "\n", "plan", "country")

    assert one == other == {"ann": {"plan": "pro", "country": "NO"}}


def test_a_tab_before_every_string_is_none_of_a_value(tmp_path: Path) -> None:
    text = '"\tamplitude_id","\tuser_id","\tplan"\n"\t1","\tann","\tpro"\n'

    assert read(tmp_path, text, "plan") == {"ann": {"plan": "pro"}}


def test_a_file_without_the_property_is_refused_and_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ExportFileError, match="'plna'; its properties are: plan, country"):
        read(tmp_path, '"amplitude_id","user_id","plan","country"\n"1","ann","pro","NO"\n', "plna")
