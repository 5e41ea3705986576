"""The stand-in Segment responds as Segment's documents say, and keeps the traits."""

from __future__ import annotations

import base64
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

TRAIT = "Power users (26umsb5)"


def identify(user_id: Any = "ann", value: Any = True, **fields: Any) -> dict[str, Any]:
    """Make an identify; fields set to ``...`` are left out."""
    message = {"type": "identify", "userId": user_id, "traits": {TRAIT: value}, **fields}
    return {name: field for name, field in message.items() if field is not ...}


def basic(text: str) -> str:
    """Make a Basic header of any text."""
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_an_identify_is_believed(sandbox: Sandbox, segment: Any) -> None:
    """Users sent true are believed, users sent false disbelieved, other users neither."""
    answer = segment.send(identify("ann"), identify("bob", value=False))

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}
    assert sandbox.segment.disbelieves(WRITE_KEY_DEFAULT, TRAIT) == {"bob"}
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {TRAIT: True}
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "cat") == {}
    assert sandbox.segment.believes(WRITE_KEY_EMEA, TRAIT) == set()
    assert sandbox.segment.identifies_received == 2


def test_any_key_of_some_length_is_accepted(sandbox: Sandbox, segment: Any) -> None:
    """A wrong write key is answered 200 and goes to a source of its own."""
    assert segment.send(identify(), write_key="mistyped-write-key").status_code == 200

    assert sandbox.segment.believes("mistyped-write-key", TRAIT) == {"ann"}
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()


@pytest.mark.parametrize("write_key", ["", "abc123"])
def test_a_very_short_key_is_refused(segment: Any, write_key: str) -> None:
    """An empty or very short write key is answered 400."""
    assert segment.send(identify(), write_key=write_key).status_code == 400


@pytest.mark.parametrize(
    "header",
    [
        None,
        basic(WRITE_KEY_DEFAULT),
        basic(f"{WRITE_KEY_DEFAULT}:password"),
        basic(f"{WRITE_KEY_DEFAULT}:None"),
        basic(f"{WRITE_KEY_DEFAULT}::"),
        f"Basic {WRITE_KEY_DEFAULT}",
        basic(f"{WRITE_KEY_DEFAULT}:").replace("Basic", "basic"),
        basic(f"{WRITE_KEY_DEFAULT}:").replace("Basic ", "Basic  "),
    ],
)
def test_only_the_exact_form_of_authentication_passes(sandbox: Sandbox, segment: Any, header: str | None) -> None:
    """Any other form than write key, colon and nothing gets a 401 with the login that the sandbox requires."""
    body = json.dumps({"batch": [identify()], "writeKey": WRITE_KEY_DEFAULT}).encode()
    headers = {} if header is None else {"Authorization": header}
    refused = segment.session.post(sandbox.url + "/v1/batch", data=body, headers=headers, timeout=20)

    assert refused.status_code == 401
    assert "The sandbox requires" in refused.json()["message"]
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()


def test_a_write_key_is_no_access_token(sandbox: Sandbox, segment: Any) -> None:
    body = json.dumps({"batch": [identify()], "writeKey": WRITE_KEY_DEFAULT}).encode()
    headers = {"Authorization": f"Bearer {WRITE_KEY_DEFAULT}"}
    refused = segment.session.post(sandbox.url + "/v1/batch", data=body, headers=headers, timeout=20)

    assert (refused.status_code, "a write key is no access token" in refused.json()["message"]) == (401, True)
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"batch": {}}',
        b'{"batch": [1,]}',
        b'{"batch": []} x',
        b'{"batch": ["\xff"]}',
        b"[" * 9999,
    ],
)
def test_malformed_bodies_are_refused(sandbox: Sandbox, segment: Any, body: bytes) -> None:
    """What is no JSON object with a list of messages is answered 400, and recorded as such."""
    assert segment.post(body).status_code == 400
    assert [batch.status for batch in sandbox.segment.batches] == [400]


def test_a_batch_may_be_half_a_million_bytes(sandbox: Sandbox, segment: Any) -> None:
    """500,000 bytes are taken, one more is answered 400, counted before compression."""
    empty = json.dumps({"batch": [], "padding": ""}).encode()
    exact = empty.replace(b'""', b'"' + b"x" * (500_000 - len(empty)) + b'"')

    assert segment.post(exact).status_code == 200
    assert segment.send_gzip(exact).status_code == 200
    assert segment.post(exact + b" ").status_code == 400
    assert segment.send_gzip(exact + b" ").status_code == 400
    assert [batch.size for batch in sandbox.segment.batches] == [500_000, 500_000, 500_001, 500_001]


def test_compressed_bodies_are_read(sandbox: Sandbox, segment: Any) -> None:
    """A gzip body is unpacked, a broken one or another encoding is answered 400."""
    body = json.dumps({"batch": [identify()]}).encode()

    assert segment.send_gzip(body).status_code == 200
    assert segment.post(body, Content_Encoding="gzip").status_code == 400
    assert segment.post(gzip.compress(body)[:-9], Content_Encoding="gzip").status_code == 400
    assert segment.post(body, Content_Encoding="br").status_code == 400
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}


def test_the_surplus_of_a_batch_is_lost(sandbox: Sandbox, segment: Any) -> None:
    """Past 2,500 messages a batch is answered 200 and the surplus lost."""
    messages = [{"type": "identify", "userId": str(number), "traits": {TRAIT: True}} for number in range(2503)]

    assert segment.send(*messages).status_code == 200
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {str(number) for number in range(2500)}
    assert sandbox.segment.lost == {"over_2500_in_batch": 3}
    assert sandbox.segment.identifies_received == 2503


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (identify(...), "no_user_anon_id"),
        (identify(None, anonymousId=None), "no_user_anon_id"),
        (identify(""), "id_not_string"),
        (identify(7), "id_not_string"),
        (identify("ann", anonymousId=7), "id_not_string"),
        (identify("ann", type=...), "no_type"),
        (identify("ann", type="identity"), "no_type"),
        (identify("ann", type=["identify"]), "no_type"),
        (identify("ann", traits=[TRAIT]), "traits_not_object"),
        (identify("ann", messageId="x" * 101), "message_id_too_long"),
        (identify("ann", context={"padding": "x" * 32_000}), "over_32_kb"),
        (identify("ann", context={"padding": "\u00e9" * 16_000}), "over_32_kb"),
        ("identify", "not_an_object"),
    ],
)
def test_a_message_is_lost_behind_a_200(sandbox: Sandbox, segment: Any, message: Any, reason: str) -> None:
    """A message Segment cannot use is answered 200 and lost; its neighbours are not."""
    body = json.dumps({"batch": [message, identify("bob")]}, ensure_ascii=False).encode()

    assert segment.post(body).status_code == 200
    assert sandbox.segment.lost == {reason: 1}
    assert sandbox.segment.silently_lost == 1
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"bob"}


def test_an_anonymous_id_is_an_identity(sandbox: Sandbox, segment: Any) -> None:
    """A message with only an anonymous ID is neither lost nor anyone's trait."""
    segment.send(identify(None, anonymousId="b7f1"))

    assert sandbox.segment.silently_lost == 0
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()


def test_copies_are_dropped_across_all_write_keys(sandbox: Sandbox, segment: Any) -> None:
    """A messageId seen before is dropped, from any source; messages without one never are."""
    segment.send(identify("ann", messageId="m1"))
    segment.send(identify("ann", value=False, messageId="m1"))
    segment.send(identify("ann", messageId="m1"), write_key=WRITE_KEY_EMEA)
    segment.send(identify("bob"), identify("bob", value=False))

    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}
    assert sandbox.segment.disbelieves(WRITE_KEY_DEFAULT, TRAIT) == {"bob"}
    assert sandbox.segment.believes(WRITE_KEY_EMEA, TRAIT) == set()
    assert sandbox.segment.duplicates_dropped == 2
    assert sandbox.segment.messages_by_id["m1"].times_received == 3


def test_the_newest_timestamp_wins(sandbox: Sandbox, segment: Any) -> None:
    """A late message overwrites no newer one, zones are understood, of equal ones the later arrival wins."""
    segment.send(identify("ann", timestamp="2026-11-23T12:00:00.001Z"))
    segment.send(identify("ann", value=False, timestamp="2026-11-23T12:00:00.000Z"))
    segment.send(identify("ann", value=False, timestamp="2026-11-23T13:00:00.000+01:00"))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}

    segment.send(identify("ann", value=False, timestamp="2026-11-23T12:00:00.001Z"))
    assert sandbox.segment.disbelieves(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}


def test_a_message_without_timestamp_is_of_now(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    """Without a timestamp, or with one that is no date, the moment of arrival counts."""
    clock.now = 0
    segment.send(identify("ann", timestamp="1970-01-01T00:00:01Z"), identify("bob", timestamp="1970-01-01T00:00:01Z"))
    segment.send(identify("ann", value=False), identify("bob", value=False, timestamp="soon"))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann", "bob"}

    clock.now = 2
    segment.send(identify("ann", value=False), identify("bob", value=False, timestamp="soon"))
    assert sandbox.segment.disbelieves(WRITE_KEY_DEFAULT, TRAIT) == {"ann", "bob"}


def test_a_poisoned_user_spoils_the_batch(sandbox: Sandbox, segment: Any) -> None:
    """A batch that names a poisoned user is answered 400 as a whole; one without is taken."""
    sandbox.segment.poisoned.add("bob")

    assert segment.send(identify("ann"), identify("bob")).status_code == 400
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()
    assert segment.send(identify("ann")).status_code == 200
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}


def test_batches_are_recorded(sandbox: Sandbox, segment: Any) -> None:
    """Of each batch its key, size, count, retry header and moment are kept, and the key is not shown."""
    body = json.dumps({"batch": [identify(), identify("bob")]}).encode()
    before = time.monotonic()
    segment.post(body)
    segment.post(body, WRITE_KEY_EMEA, X_Retry_Count="2")

    first, second = sandbox.segment.batches
    assert (first.write_key, first.size, first.messages) == (WRITE_KEY_DEFAULT, len(body), 2)
    assert (first.retry_count, second.retry_count) == (None, 2)
    assert before < first.received < second.received < time.monotonic()
    assert WRITE_KEY_DEFAULT not in repr(first)


def test_messages_are_kept_with_what_the_batch_adds(sandbox: Sandbox, segment: Any) -> None:
    """A kept message has the batch's context and integrations, its own coming first."""
    message = identify("ann", messageId="m1", context={"active": False})
    segment.send(message, context={"active": True, "app": "x"}, integrations={"All": False}, sentAt="now")

    kept = sandbox.segment.messages_by_id["m1"].message
    assert kept["context"] == {"active": False, "app": "x"}
    assert kept["integrations"] == {"All": False}


def test_many_clients_are_served_while_a_test_reads(sandbox: Sandbox, segment: Any) -> None:
    """Nothing is lost or counted twice when eight clients send and the test reads at the same time."""

    def send(number: int) -> set[int]:
        """Send twenty batches as one client of eight."""
        client = type(segment)(sandbox)
        batches = ([identify(f"{number}-{batch}-{place}") for place in range(50)] for batch in range(20))
        return {client.send(*batch).status_code for batch in batches}

    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(send, number) for number in range(8)]
        while not all(answer.done() for answer in answers):
            assert len(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) % 50 == 0  # batches are taken whole
            assert sandbox.segment.trait_counts(WRITE_KEY_DEFAULT).keys() <= {TRAIT}

    assert [answer.result() for answer in answers] == [{200}] * 8
    assert len(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == sandbox.segment.identifies_received == 8000
    assert len(sandbox.segment.batches) == 160
