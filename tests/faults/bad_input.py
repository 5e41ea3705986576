"""Bad input: files, answers and ledger entries as nobody should write them.

Whatever is read, nothing but our own errors comes out; and of a file that is taken, exactly the user IDs that Python's
own reader of the format finds.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from fakes import FakeStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.delivery.response import read_response
from airflow_provider_amplitude_segment.core.export.cohort import check_exportable, read_cohorts
from airflow_provider_amplitude_segment.core.export.download import read_file_response, read_storage_response
from airflow_provider_amplitude_segment.core.export.responses import read_export_request, read_export_status, read_usage
from airflow_provider_amplitude_segment.core.export.run_checkpoint import read_checkpoint
from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import read_retry_after
from airflow_provider_amplitude_segment.core.ledger.claim import Claim, take_claim
from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import FORMAT, PACKAGE, encode_entry
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run, Stream
from airflow_provider_amplitude_segment.core.maintenance.user_list import read_user_list
from airflow_provider_amplitude_segment.core.membership.membership import read_membership
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ExportFileError, UserListError
from faults.bad_segment_api import check_segment_response, segment_bodies

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = {"files": 4000, "answers": 4000, "responses of Segment's APIs": 2000, "ledger entries": 2400}
"""How many bad inputs of each kind ``make faults`` reads."""

_NOW = 1_795_392_000.0
_STREAM = Stream("1234", "c1", Destination("segment_1", "dst-1"))
_OURS = contextlib.suppress(AmplitudeSegmentError)

# Files ------------------------------------------------------------------------------------------------------------

_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
_fields = st.one_of(
    _text, st.sampled_from(["", " ", "ann", "007", "NULL", 'q"q', "a,b", "a\r\nb", "\x00", "\ufeff", "\t1"])
)
_headers = st.lists(
    st.sampled_from(["user_id", "amplitude_id", "\tuser_id", "group_value", "", "USER_ID", "it's", "user_id "]),
    min_size=1,
    max_size=4,
)


@st.composite
def _csv_texts(draw: st.DrawFn) -> str:
    """Text of a CSV file: mostly with a column of user IDs, mostly as long in each row."""
    names = draw(st.one_of(st.just(["amplitude_id", "user_id"]), _headers))
    width = st.just(len(names)) if draw(st.booleans()) else st.integers(0, 5)
    rows = draw(st.lists(width.flatmap(lambda n: st.lists(_fields, min_size=n, max_size=n)), max_size=8))
    file = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(file, quoting=quoting, lineterminator=end).writerows([names, *rows])
    return file.getvalue()


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    """Bytes of a file: whole, mangled, compressed, in another encoding, or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    content = draw(_csv_texts()).encode(encoding)
    if draw(st.booleans()):
        content = draw(_mangled(content))
    wrap = draw(st.sampled_from(["plain", "plain", "gzip", "members", "cut gzip", "zip"]))
    if wrap == "gzip":
        content = gzip.compress(content, mtime=0)
    if wrap == "members":
        middle = draw(st.integers(0, len(content)))
        content = gzip.compress(content[:middle], mtime=0) + gzip.compress(content[middle:], mtime=0)
    if wrap == "cut gzip":
        content = draw(_mangled(gzip.compress(content, mtime=0)))
    return b"PK\x03\x04" + content if wrap == "zip" else content


def _mangled(content: bytes) -> st.SearchStrategy[bytes]:
    """Cut something out, and put something in."""
    place = st.integers(0, len(content))
    more = st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b"\n", b",", b"\r", b"\x00", b'""', b"\xff\xfe"]))

    def mangle(start: int, length: int, put: bytes) -> bytes:
        return content[:start] + put + content[start + length :]

    return st.builds(mangle, place, st.integers(0, 3), more)


def _as_python_reads_it(content: bytes) -> set[str] | None:
    """Return the user IDs that Python finds in a file; ``None`` where it is none it can read."""
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, EOFError, ValueError, csv.Error):
        return None
    names = [name.removeprefix("\t") for name in rows[0]]
    column = names.index("user_id")
    tabbed = rows[0][column].startswith("\t")
    users = (row[column].removeprefix("\t") if tabbed else row[column] for row in rows[1:] if row)
    return {user for user in users if user.strip()}


def _check_file(engine: duckdb.DuckDBPyConnection, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export"
        file.write_bytes(content)
        try:
            membership = read_membership(engine, file, Path(folder))
        except ExportFileError:
            with _OURS:
                read_user_list(content)
            return
        except duckdb.Error as error:
            raise AssertionError(content) from error
        found = engine.execute("SELECT user_id FROM read_parquet($1) WHERE user_id IS NOT NULL", [str(membership.path)])
        users = {user for (user,) in found.fetchall()}
    assert users == _as_python_reads_it(content), content
    # The same file may be handed over to have its users erased; a row that is too long is refused there.
    with contextlib.suppress(UserListError):
        assert set(read_user_list(content).user_ids) == users, content
    assert membership.members == len(users)
    assert membership.rows == membership.members + membership.anonymous + membership.duplicates


# Answers ----------------------------------------------------------------------------------------------------------

_numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, 1e400, -1, 0, 2**63]))
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _text, st.just("\ud800")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_text, inner, max_size=3)),
    max_leaves=8,
)


def _objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with some of these names, and anything behind them."""
    return st.dictionaries(st.sampled_from(names), _json)


_cohort_lists = st.fixed_dictionaries(
    {
        "cohorts": st.one_of(
            _json,
            st.lists(_objects("id", "name", "appId", "size", "lastComputed", "archived", "definition"), max_size=3),
        )
    }
)
_usages = st.one_of(
    _objects("limit", "usage", "count", "resets_at"),
    st.fixed_dictionaries({"rest_download": _objects("limit", "usage", "resets_at")}),
)
_answers = st.one_of(
    _json, _cohort_lists, _usages, _objects("request_id", "async_status", "error", "message", "success", "cohorts")
)
_bodies = st.one_of(
    st.binary(max_size=60),
    _answers.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b'{"size": 1' + b"0" * 5000 + b"}", b"\xff\xfe{", b"NaN"]),
)
_statuses = st.one_of(st.sampled_from([200, 202, 302, 400, 401, 403, 404, 408, 429, 500, 503]), st.integers(-1, 999))
_header_values = st.one_of(
    _text,
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["Thu, 01 Jan 1970 00:01:40 GMT", "Thu, 01 Jan 9999 00:00:00 -9999", "1e999", "٣", "https://[::1", "//"]
    ),
    st.text("0123456789 :,GMTJanThu+-", max_size=30),
)
_headers_of_answers = st.dictionaries(
    st.sampled_from(["retry-after", "location", "x-ratelimit-reset", "request-id"]), _header_values
)


def _check_answer(status: int, headers: dict[str, str], body: bytes) -> None:
    with _OURS:
        for cohort in read_cohorts(status, body):
            cohort.name.encode()
            with _OURS:
                check_exportable(cohort, now=_NOW)
    readers: list[Callable[[], object]] = [
        partial(read_export_request, HttpResponse(status, headers, body), now=_NOW),
        partial(read_export_status, "qfaZya", HttpResponse(status, headers, body), now=_NOW),
        partial(read_file_response, "qfaZya", status, headers, now=_NOW),
        partial(read_storage_response, "qfaZya", status, headers, now=_NOW),
        partial(read_usage, status, body),
        partial(read_response, status, headers, body, now=_NOW),
    ]
    for read in readers:
        with _OURS:
            read()
    seconds = read_retry_after(headers.get("retry-after"), now=_NOW)
    assert seconds is None or 0 <= seconds < float("inf")


# Ledger entries -----------------------------------------------------------------------------------------------------

# Mostly ours: what lacks the mark is read no further.
_MARK = {"package": st.sampled_from([PACKAGE, PACKAGE, PACKAGE, PACKAGE, "else", None]), "format": st.just(FORMAT)}
_stored = st.one_of(_json, st.fixed_dictionaries({"name": st.just("f"), "size": _numbers, "sha256": _text}))
_plans = st.fixed_dictionaries(
    {name: _json for name in Plan.__dataclass_fields__ if name not in {"changes", "base"}}
    | {**_MARK, "format": st.sampled_from([FORMAT, FORMAT, FORMAT, FORMAT + 1, None, "1"])}
    | {"changes": _stored, "base": _stored}
)
_journals = st.fixed_dictionaries(
    {
        **_MARK,
        "acked": st.one_of(_json, st.lists(st.lists(_numbers, min_size=2, max_size=2), max_size=3)),
        "rejected": st.one_of(_json, st.lists(st.tuples(_numbers, _json, _json), max_size=3)),
    }
)
_claims = st.fixed_dictionaries(
    {
        **_MARK,
        "generation": _numbers,
        "run": st.fixed_dictionaries({"key": _text, "label": _text, "try": _numbers}),
        "expires_at_epoch": _numbers,
        "released": st.one_of(st.booleans(), _json),
    }
)
_records = st.fixed_dictionaries(
    {
        **_MARK,
        "export_request_id": _json,
        "requested_at": _numbers,
        "generations": st.one_of(_json, st.dictionaries(_text, _numbers, max_size=2)),
        "finished": _json,
        "counts": _json,
    }
)
_entries = st.one_of(
    _bodies, st.one_of(_plans, _journals, _claims, _records, _json).map(lambda value: json.dumps(value).encode())
)
_PLAN = encode_entry(
    dict.fromkeys(Plan.__dataclass_fields__, "")
    | {
        "generation": 3,
        "planned": 5,
        "timestamp": "2026-11-24T03:00:00.000Z",
        "base": None,
        "exported_epoch": 0.0,
        "approved_by": None,
        "events": None,
        "changes": {"name": "f", "size": 1, "sha256": ""},
    }
)


def _check_entry(content: bytes) -> None:
    run = Run("run 'a'", "a")
    store, folder = FakeStore(), _STREAM.folder
    ledger = Ledger(store, folder)
    for name in ("plan-3.json", "commit-3.json"):
        store.objects = {f"{folder}/{name}": content}
        with _OURS:
            ledger.newest()
    store.objects = {f"{folder}/plan-3.json": _PLAN, f"{folder}/acked-3-3.json": content}
    plan = ledger.newest()
    assert isinstance(plan, Plan)
    with _OURS:
        assert ledger.journal(plan).pending(5).count <= 5
    claim = Claim.from_json(content)
    assert claim is None or timestamp(claim.expires_at)
    store.objects = {f"{folder}/claim-3.json": content}
    with _OURS:
        take_claim(store, _STREAM, run, _NOW)
    store.objects = {f"{_STREAM.cohort_folder}/runs/a.json": content}
    record = read_checkpoint(store, _STREAM, run)
    if record is not None:
        record.is_usable({folder: plan}, _NOW)


def try_bad_input(kind: str, cases: int) -> int:
    """Read so many bad inputs of a kind, the same ones each time; return how many were read.

    Raises:
        Exception: whatever a reader let out, or an ``AssertionError`` where it read something else than Python does.
    """
    tried = 0
    with contextlib.closing(duckdb.connect(config={"threads": 1})) as engine:
        inputs: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = {
            "files": (_files(), partial(_check_file, engine)),
            "answers": (st.tuples(_statuses, _headers_of_answers, _bodies), lambda answer: _check_answer(*answer)),
            "responses of Segment's APIs": (
                st.tuples(_statuses, _headers_of_answers, st.one_of(_bodies, segment_bodies(_json))),
                lambda response: check_segment_response(*response),
            ),
            "ledger entries": (_entries, _check_entry),
        }
        strategy, check = inputs[kind]

        @settings(
            max_examples=cases,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def read(content: Any) -> None:
            nonlocal tried
            tried += 1
            check(content)

        read()
    return tried
