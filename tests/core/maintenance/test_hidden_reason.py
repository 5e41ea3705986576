"""A reason that quotes a user ID in any usual form is hidden as a whole, and no other one is."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_amplitude_segment.core.maintenance.hidden_reason import hide_user_id

WHERE = "rejected/3.csv, column reason"
IDS = [
    "ann@x.org",
    "张三",
    "a&b",
    'it\'s "quoted"',
    "line\nbreak",
    "🦩 flamingo",
    "user+1@x.org",
    "x" * 2_000,
    "Straße",
    "a\\b",
]


def hidden(reason: str, user_id: str) -> bool:
    shown = hide_user_id(reason, user_id, WHERE)
    assert shown == reason or (WHERE in shown and shown.startswith("(hidden, "))
    return shown != reason


@pytest.mark.parametrize("user_id", IDS, ids=range(len(IDS)))
@pytest.mark.parametrize(
    "encode",
    [
        str,
        str.upper,
        str.casefold,
        repr,
        quote,
        quote_plus,
        lambda text: quote(quote(text, safe="")),
        html.escape,
        lambda text: "".join(f"&#{ord(each)};" for each in text),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(json.dumps(text)),
        lambda text: html.escape(json.dumps(quote(text))),
        lambda text: f"prefix_{text}_suffix",
        lambda text: " ".join(text.split()),
        lambda text: "".join(f"\\u{ord(each):04x}" for each in text if ord(each) < 0x10000),
    ],
    ids=range(16),
)
def test_an_id_is_hidden_in_each_encoding(user_id: str, encode: object) -> None:
    quoted = encode(user_id)  # type: ignore[operator]
    if any(ord(each) >= 0x10000 for each in user_id) and quoted.startswith("\\u"):
        quoted = json.dumps(user_id)

    assert hidden(f"被{quoted}拒绝", user_id)
    assert hidden(f"bad {quoted}"[:200], user_id)


@pytest.mark.parametrize(
    ("reason", "user_id"),
    [
        ("用户张三被拒绝", "张三"),
        ("id ANN@X.org blocked", "ann@x.org"),
        ("bad user_ann@x.org", "ann@x.org"),
        ("userId=ann%40x.org", "ann@x.org"),
        ("bad <b>a&amp;b</b>", "a&b"),
        ("bad \uff41\uff4e\uff4e\uff20x.org", "ann@x.org"),
        ("bad ann@\u200bx.org", "ann@x.org"),
        ("bad ann@x.org", "ann%40x.org"),
        # Cut inside the ID.
        ("bad user 'ann@x", "ann@x.org"),
        ("x" * 176 + "userId=alexander.smith%4", "alexander.smith@example.com"),
        (r"identify for zo\u00eb.m\u00", "zo\u00eb.m\u00fcller@x.org"),
        # Shortened, or in another encoding.
        ("user alexander.smi... is blocked", "alexander.smith@example.com"),
        ("user 123456... is blocked", "1234567"),
        ("userId=zo%EB%40x.org is bad", "zo\u00eb@x.org"),
        ("value 'long-identifier@example.com' is not allowed", "a+very.long-identifier@example.com"),
        ("a bad one", "a"),
        ("bad", "\u200b"),
    ],
)
def test_these_reasons_are_hidden(reason: str, user_id: str) -> None:
    assert hidden(reason, user_id)


@pytest.mark.parametrize("reason", ["the trait is unknown", "100% wrong: \\ and & and %zz", "bob@y.net is blocked", ""])
def test_a_reason_without_the_id_is_shown(reason: str) -> None:
    assert not hidden(reason, "ann@x.org")
