"""An Amplitude connection becomes a client, or an error that names the field."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.core.export.cohort import fits
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.sandbox import Sandbox

KEYS = {"conn_type": "amplitude", "login": "api-key-0123", "password": "secret-key-4567"}


def test_keys_are_proved_by_listing_the_cohorts(sandbox: Sandbox) -> None:
    """The Test button says how many there are, and in which region."""
    assert AmplitudeHook().test_connection() == (
        True,
        f"Works: Amplitude accepts both keys (data region US, {sandbox.url}) and lists 4 cohorts.",
    )


def test_a_project_without_a_discoverable_cohort_works_and_is_told_why_there_is_nothing_to_sync(
    sandbox: Sandbox,
) -> None:
    sandbox.amplitude.cohorts.clear()
    works, sentence = AmplitudeHook().test_connection()
    assert works
    assert sentence.endswith("lists no cohort. Make a cohort discoverable in Amplitude to sync it.")


@pytest.mark.parametrize(("region", "other"), [("US", "EU"), ("EU", "US")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_and_a_wrong_region_are_both_named_as_amplitude_answers_alike(
    connect: Callable[..., str], region: str, other: str, status: int
) -> None:
    with RecordingServer(CannedResponse(status, body=b"secret-key-4567 is wrong")) as server:
        connect("amplitude_default", **KEYS, host=server.url, extra={"region": region})
        works, sentence = AmplitudeHook().test_connection()
    assert not works
    assert sentence.startswith(f"Refused: Amplitude does not accept these keys (HTTP {status}, data region {region}, ")
    assert "Wrong key? Copy API key and secret key again" in sentence
    assert f"choose {other} as Data region, and clear Host." in sentence
    for hidden in ("api-key", "secret-key"):
        assert hidden not in sentence


def test_keys_that_the_sandbox_does_not_know_are_refused(sandbox: Sandbox, connect: Callable[..., str]) -> None:
    connect("amplitude_default", **KEYS, host=sandbox.url)
    works, sentence = AmplitudeHook().test_connection()
    assert not works
    assert sentence.startswith("Refused: ")


@pytest.mark.parametrize("status", [429, 503])
def test_an_amplitude_that_is_busy_proves_no_key_and_is_not_waited_for(
    connect: Callable[..., str], status: int
) -> None:
    with RecordingServer(CannedResponse(status, {"Retry-After": "60"})) as server:
        connect("amplitude_default", **KEYS, host=server.url)
        works, sentence = AmplitudeHook().test_connection()
        assert len(server.came) == 1
    assert not works
    assert f"busy or out of order (HTTP {status}), so the keys are not proved" in sentence


def test_a_host_that_is_not_amplitude_is_told(connect: Callable[..., str]) -> None:
    with RecordingServer(CannedResponse(body=b"<html>Please log in</html>")) as server:
        connect("amplitude_default", **KEYS, host=server.url)
        works, sentence = AmplitudeHook().test_connection()
    assert not works
    assert "returns another response (HTTP 200). Check Host" in sentence


def test_what_cannot_be_tested_is_told_by_the_forms_label(connect: Callable[..., str]) -> None:
    """Without the connection's ID, which is one of Airflow's own while it tests."""
    connect("amplitude_default", conn_type="amplitude", login="api-key-0123")
    assert AmplitudeHook().test_connection() == (
        False,
        "Field 'Secret key': it is missing or blank. It takes the secret key as it was issued.",
    )
    connect("amplitude_default", conn_type="amplitude", password="secret-key-0123")
    assert AmplitudeHook().test_connection() == (
        False,
        "Field 'API key': it is missing or blank. It takes the API key as it was issued.",
    )


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"login": None}, "API key"),
        ({"login": " \n"}, "API key"),
        ({"password": ""}, "Secret key"),
        ({"extra": {"region": "AP"}}, "Data region"),
        ({"extra": {"timeout": "soon"}}, "Timeout"),
        ({"extra": {"timeout": 0}}, "Timeout"),
        ({"extra": {"verify": "/no/such/authorities.pem"}}, "Extra verify"),
        ({"extra": {"cert": ["/no/such/cert.pem", "/no/such/key.pem"]}}, "Extra cert"),
        ({"extra": {"proxies": {"https": "http://user:hush@"}}}, "Extra proxies"),
        ({"extra": {"proxies": ["x"]}}, "Extra proxies"),
        ({"extra": {"cert": ["a", "b", "c"]}}, "Extra cert"),
        ({"host": "https://user:word@amplitude.com"}, "Host"),
        ({"host": "https://amplitude.com?x=1"}, "Host"),
        ({"host": "ftp://amplitude.com"}, "Host"),
        ({"host": "https://"}, "Host"),
        ({"host": "https://analytics.amplitude.com"}, "Host"),
        ({"host": "app.eu.amplitude.com"}, "Host"),
        ({"host": "https://amplitude.com/api/3/cohorts"}, "Host"),
        ({"host": "https://amplitude.com/api/5/cohorts/request/26umsb5"}, "Host"),
        ({"host": "https://amplitude.com/docs/apis/analytics/behavioral-cohorts"}, "Host"),
        ({"host": "https://analytics.eu.amplitude.com/my-org/home"}, "Host"),
        ({"host": "https://proxy.example.com/amplitude/api/3/cohorts/"}, "Host"),
        ({"host": "https://api2.amplitude.com"}, "Host"),
        ({"host": "https://analytics.eu.amplitude.com", "extra": {"region": "US"}}, "Data region"),
        ({"host": "https://amplitude.com", "extra": {"region": "EU"}}, "Data region"),
        ({"extra": {"proxies": {"https": "socks5://user:hush@127.0.0.1:1080"}}}, "Extra proxies"),
        ({"extra": {"proxies": {"https": "ftp://user:hush@127.0.0.1"}}}, "Extra proxies"),
        ({"extra": {"proxies": {"https": "http://user:hush@proxy.example.com:port"}}}, "Extra proxies"),
        ({"extra": {"proxies": {"https://": "http://127.0.0.1:3128"}}}, "Extra proxies"),
        ({"extra": {"proxies": {"SSL": "http://127.0.0.1:3128"}}}, "Extra proxies"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    connect: Callable[..., str], fields: dict[str, object], label: str
) -> None:
    """By the connection and the form's label, without a key."""
    hook = AmplitudeHook(connect("amplitude_eu", **{**KEYS, **fields}))
    with pytest.raises(SettingError) as caught:
        hook.get_conn()
    assert caught.value.setting == f"connection 'amplitude_eu', field {label!r}"
    for hidden in ("api-key", "secret-key", "word@", "hush"):
        assert hidden not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://amplitude.com"),
        ({"port": 443}, "https://amplitude.com"),
        ({"extra": {"region": "US"}}, "https://amplitude.com"),
        ({"extra": {"region": " eu "}}, "https://analytics.eu.amplitude.com"),
        ({"extra": json.dumps({"region": None})}, "https://amplitude.com"),
        ({"host": "amplitude.example.com", "extra": {"region": "EU"}}, "https://amplitude.example.com"),
        ({"host": "amplitude.example.com", "port": 8443}, "https://amplitude.example.com:8443"),
        ({"host": "amplitude.example.com", "schema": "http"}, "http://amplitude.example.com"),
        (
            {"host": "https://amplitude.example.com/proxy/", "port": 8443},
            "https://amplitude.example.com:8443/proxy",
        ),
        ({"host": "127.0.0.1", "port": 8080}, "http://127.0.0.1:8080"),
        ({"host": "localhost:8080"}, "http://localhost:8080"),
        ({"host": "https://[::1]:8080"}, "https://[::1]:8080"),
    ],
)
def test_the_region_decides_and_a_host_overrides(
    connect: Callable[..., str], fields: dict[str, object], url: str
) -> None:
    """A bare host is https, but for this machine."""
    assert AmplitudeHook(connect("amplitude_eu", **{**KEYS, **fields})).get_conn().base_url == url


def test_a_pasted_call_is_refused_with_what_to_type(connect: Callable[..., str]) -> None:
    """The part before it, or nothing where that is the region's own host."""
    takes = {
        "https://amplitude.com/api/3/cohorts": "no value, to use the region's host (US: https://amplitude.com, ",
        "https://proxy.example.com/amplitude/api/5/cohorts/request/x": "https://proxy.example.com/amplitude",
    }
    for host, expected in takes.items():
        with pytest.raises(SettingError) as refused:
            AmplitudeHook(connect("a", **KEYS, host=host)).get_conn()
        assert refused.value.takes.startswith(expected)


def test_a_host_of_one_region_decides_where_the_connection_names_none(connect: Callable[..., str]) -> None:
    assert AmplitudeHook(connect("a", **KEYS, host="https://analytics.eu.amplitude.com")).get_region() == "EU"


def test_a_socks_proxy_of_the_environment_without_its_package_is_named(
    connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://user:hush@127.0.0.1:1080")
    hook = AmplitudeHook(connect("a", **KEYS))
    with pytest.raises(SettingError, match=r"ALL_PROXY of the environment: .*PySocks is missing") as refused:
        hook.get_conn()
    assert "hush" not in str(refused.value)
    assert AmplitudeHook(connect("b", **KEYS, extra={"trust_env": False})).get_conn()


def test_the_keys_of_proxies_may_be_written_in_any_case(connect: Callable[..., str]) -> None:
    """Requests would pass over them, and go past the proxy."""
    with RecordingServer(CannedResponse(body=b'{"cohorts": []}')) as proxy:
        extra = {"proxies": {"HTTP": f" {proxy.url} "}}
        client = AmplitudeHook(connect("a", **KEYS, host="http://amplitude.example.com", extra=extra)).get_conn()
        assert client.list_cohorts() == ()
        assert proxy.came[0].path == "http://amplitude.example.com/api/3/cohorts"


def test_white_space_around_a_key_is_dropped(connect: Callable[..., str]) -> None:
    """A secrets file likes to end in a line break."""
    with RecordingServer(CannedResponse(body=b'{"cohorts": []}')) as server:
        connect("a", conn_type="amplitude", login="key\n", password=" word ", host=server.url)
        AmplitudeHook("a").get_conn().list_cohorts()
        assert server.came[0].headers["authorization"] == "Basic a2V5OndvcmQ="


def test_a_key_of_any_characters_can_be_sent(connect: Callable[..., str]) -> None:
    """Not Latin-1 alone."""
    with RecordingServer(CannedResponse(body=b'{"cohorts": []}')) as server:
        connect("a", conn_type="amplitude", login="schlüssel€", password="w", host=server.url)
        assert AmplitudeHook("a").get_conn().list_cohorts() == ()


@pytest.mark.usefixtures("sandbox")
def test_one_hook_has_one_client() -> None:
    """Its connections are kept open."""
    hook = AmplitudeHook()
    assert hook.get_conn() is hook.get_conn()


def test_making_a_hook_asks_nobody() -> None:
    """A DAG file may make one."""
    AmplitudeHook("there_is_no_such_connection")


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("name", "ids"),
    [
        (None, ["26umsb5", "7khm89cz"]),
        ("power users", ["26umsb5"]),
        ("*POWER*", ["26umsb5", "7khm89cz"]),
        ("[test]*", ["7khm89cz"]),
        ("Power", []),
        ("P?wer Users", ["26umsb5"]),
    ],
)
def test_cohorts_are_found_by_name(name: str | None, ids: list[str]) -> None:
    """In any case; archived ones and those of groups are left out, as they cannot be synced."""
    assert [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts(name)] == ids


@pytest.mark.parametrize(
    ("owner", "ids"),
    [
        ("EVE@example.com", ["26umsb5"]),
        ("*@example.com", ["26umsb5", "7khm89cz"]),
        ("am?", ["7khm89cz"]),
        ("eve", []),
    ],
)
def test_cohorts_are_found_by_one_of_their_owners(sandbox: Sandbox, owner: str, ids: list[str]) -> None:
    """In any case; an owner is mostly an e-mail address."""
    sandbox.amplitude.cohorts["26umsb5"].owners = ["eve@example.com"]
    sandbox.amplitude.cohorts["7khm89cz"].owners = ["amp", "bob@example.com"]

    assert [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts(owner=owner)] == ids
    assert [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts("*power*", owner=owner)] == ids


@pytest.mark.usefixtures("sandbox")
def test_what_an_operator_is_mapped_over_can_be_an_xcom() -> None:
    """Each has the ID, and a label with the name."""
    mapped = AmplitudeHook().map_cohorts("power users")

    assert json.loads(json.dumps(mapped)) == mapped
    assert mapped == [{"cohort_id": "26umsb5", "params": {"cohort_label": "Power Users (26umsb5)"}}]


@pytest.mark.usefixtures("sandbox")
def test_archived_cohorts_can_be_found() -> None:
    """On demand."""
    found = AmplitudeHook().list_cohorts("power*", include_archived=True)
    assert [cohort.cohort_id for cohort in found] == ["26umsb5", "9apg8e8f"]


def test_what_links_need_is_read(connect: Callable[..., str]) -> None:
    """The organization's part of the URL, and the region."""
    hook = AmplitudeHook(connect("a", **KEYS, extra={"org_url": " my-org ", "region": "eu"}))
    assert (hook.get_org_url(), hook.get_region()) == ("my-org", "EU")


@pytest.mark.parametrize(
    ("organization", "region", "page"),
    [
        (" my-org ", "us", "https://app.amplitude.com/analytics/my-org/cohort/26umsb5"),
        ("my-org", "EU", "https://app.eu.amplitude.com/analytics/my-org/cohort/26umsb5"),
        ("https://example.com/c/{cohort_id}/x", "EU", "https://example.com/c/26umsb5/x"),
        ("", "US", None),
        (None, "US", None),
        ("/", "US", None),
        ("file:///etc/passwd", "US", None),
        ("javascript:{cohort_id}", "US", None),
        ("https:///{cohort_id}", "US", None),
        ("https://[my-org/{cohort_id}", "US", None),
        ("app.amplitude.com", "US", None),
        ("https://app.amplitude.com/analytics/my-org/home", "US", None),
    ],
)
def test_a_cohorts_page_is_that_of_the_organization_and_unknown_without_one(
    connect: Callable[..., str], organization: str | None, region: str, page: str | None
) -> None:
    hook = AmplitudeHook(connect("a", **KEYS, extra={"org_url": organization, "region": region}))
    assert hook.get_cohort_url("26umsb5") == page


def test_a_host_that_is_not_reached_is_asked_once(connect: Callable[..., str]) -> None:
    """Because a person waits for it."""
    with RecordingServer(CannedResponse(raw=b"")) as server:
        works, _ = AmplitudeHook(connect("a", **KEYS, host=server.url)).test_connection()
        assert (works, len(server.came)) == (False, 1)


def test_a_host_that_is_not_reached_is_told(connect: Callable[..., str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    works, sentence = AmplitudeHook(connect("a", **KEYS, host="127.0.0.1", port=port)).test_connection()
    assert not works
    assert sentence.startswith(
        f"Not reached: no response from http://127.0.0.1:{port} (data region US): the server refuses the connection. "
        "Check Host of the connection, its port, "
    )


def test_a_pattern_of_many_stars_is_answered() -> None:
    """A search that goes back at each star would outlast the sun."""
    assert not fits("a" * 200, "*a" * 30 + "*b")
    assert fits("[x] a b", "[x]*a*?b*")


def test_who_asks_for_the_cohorts_of_anybody_gets_also_those_that_nobody_owns(sandbox: Sandbox) -> None:
    sandbox.amplitude.cohorts["26umsb5"].owners = []

    assert [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts(owner="*")] == ["26umsb5", "7khm89cz"]
    assert [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts(owner="?*")] == ["7khm89cz"]
