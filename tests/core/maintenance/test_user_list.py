"""A list of user IDs is read as it is written, or refused as a whole."""

import csv
import gzip
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.maintenance.user_list import read_user_list
from airflow_provider_amplitude_segment.exceptions import UserListError

_ids = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(str.strip),
        st.sampled_from(["007", "NULL", "ann ", '"', "a,b", "a\r\nb", "\ufeffx", "user_id", "é", "e\u0301"]),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


def written(rows: list[list[str]], end: str) -> bytes:
    """As Amplitude writes it: every field quoted."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    return file.getvalue().encode()


@given(_ids, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_csv_file_gives_its_user_ids_to_the_last_character(ids: list[str], end: str, has_tabs: bool) -> None:
    tab = "\t" if has_tabs else ""
    rows = [[f"{tab}amplitude_id", f"{tab}user_id"], *([f"{tab}1", f"{tab}{user_id}"] for user_id in ids)]

    users = read_user_list(written(rows, end))

    assert (users.user_ids, users.is_csv, users.odd) == (tuple(ids), True, 0)


def is_plain(user_id: str) -> bool:
    """Return whether an ID can be in a list without a header."""
    reads_like_a_header = re.search("user[_ -]?id", user_id, re.IGNORECASE)
    return not user_id.startswith("\t") and "\0" not in user_id and not reads_like_a_header


@given(_ids.filter(lambda ids: all(map(is_plain, ids))), st.sampled_from(["\n", "\r\n"]))
def test_quoted_lines_give_their_user_ids_to_the_last_character(ids: list[str], end: str) -> None:
    users = read_user_list(written([[user_id] for user_id in ids], end))

    assert (users.user_ids, users.is_csv) == (tuple(ids), False)


@pytest.mark.parametrize(
    ("content", "user_ids"),
    [
        (b"ann\nbob", ("ann", "bob")),
        (b"ann\r\nbob\r\n", ("ann", "bob")),
        (b"ann\rbob\r", ("ann", "bob")),
        (b"\xef\xbb\xbfann\n", ("ann",)),
        (b"ann\nann\n", ("ann",)),
        (b'\n \n""\nann\n', ("ann",)),
        (b'"ann"\nbob\n', ("ann", "bob")),
        (b'"an\nn"\n', ("an\nn",)),
        (b"it's\nan\"n\n", ("it's", 'an"n')),
        (b"\xc3\xbc@x\n", ("ü@x",)),
        (b"user_id\nann\n", ("ann",)),
        (b'"user_id"\n"ann"\n""\n', ("ann",)),
        (b'plan,user_id\n"a\nb",ann\n\n', ("ann",)),
        (b"\namplitude_id,user_id\n1,ann\n2,bob\n", ("ann", "bob")),
        (b'\xef\xbb\xbf\r\n ,\r\n"","user_id"\r\n"1","ann"\r\n', ("ann",)),
        (b',,\n"",""\n;;\nuser_id\nann\n', ("ann",)),
        (b"user_id\nann\nuser_id\nbob\n", ("ann", "user_id", "bob")),
        (b"user_id\na\x00nn\n", ("a\0nn",)),
        (b"\n\n ann\nuser_ids\nmy user_id\n", (" ann", "user_ids", "my user_id")),
        (gzip.compress(b"ann\n", mtime=0), ("ann",)),
        (gzip.compress(b'"user_id"\n', mtime=0) + gzip.compress(b'"ann"\n', mtime=0), ("ann",)),
    ],
)
def test_each_form_is_read(content: bytes, user_ids: tuple[str, ...]) -> None:
    assert read_user_list(content).user_ids == user_ids


@pytest.mark.parametrize("content", [b" ann\n", b"ann \n", b"'ann'\n", b"ann,\n", b'ann"\n', b"1;ann\n", b"1\tann\n"])
def test_an_id_that_may_be_meant_otherwise_is_counted(content: bytes) -> None:
    """It is taken as it stands: white space at either end, and a comma, are part of a valid ID."""
    users = read_user_list(b"bob\n" + content)

    assert (len(users.user_ids), users.odd) == (2, 1)
    assert read_user_list(b"user_id\n" + b'"%s"\n' % content.strip(b"\n").replace(b'"', b'""')).odd == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "names no user"),
        (b" \n\r\n\t\n", "names no user"),
        (b'"user_id"\n', "names no user"),
        (b'"user_id"\n""\n" "\n', "names no user"),
        (b"bob\n\xfcmlaut-ann\n", "not UTF-8, line 2"),
        ("ann\n".encode("utf-16"), "not UTF-8, line 1"),
        (b'bob\n"ann\ncat\n', "line 2 begins with a quotation mark"),
        (b'"ann", \n', "line 1 begins with a quotation mark"),
        (b'"1","ann"\n', "line 1 begins with a quotation mark"),
        (b'"a"nn"\n', "line 1 begins with a quotation mark"),
        (b'user_id\n"ann\n', "is not CSV"),
        (b'user_id\n"a"nn\n', "line 2 is not CSV"),
        (b"user_id\nann,bob\n", "line 2 has 2 fields, and the header 1"),
        (b"user_id,plan\nann\n", "line 2 has 1 fields, and the header 2"),
        (b"amplitude_id;user_id\n1;ann\n", "first line is a header"),
        (b"amplitude_id\tuser_id\n1\tann\n", "first line is a header"),
        (b'"amplitude_id","plan"\n"1","ann"\n', "first line is a header"),
        (b"User ID\nann\n", "first line is a header"),
        (b"group_value\nann\n", "first line is a header"),
        (b"\n\nUser ID\nann\n", "first line is a header"),
        (b"\namplitude_id;user_id\n1;ann\n", "first line is a header"),
        (b"sep=,\r\namplitude_id,user_id\r\n1,ann\r\n", "line 2 is a header below other lines"),
        (b'sep=,\n"amplitude_id","user_id"\n"1","ann"\n', "line 2 is a header"),
        (b"Exported today\n\nuser_id\nann\n", "line 3 is a header"),
        (b"# ann\r1\tAmplitude ID\tplan\rann\r", "line 2 is a header"),
        (b"bob\nann\n\xef\xbb\xbfuser_id\ncat\n", "line 3 is a header"),
        (b"plan,user_id\na,ann\nuser_id,plan\nbob,a\n", "line 3 is a header with user_id in another column"),
        ("ann\nbob\n".encode("utf-16-le"), "line 1 has a NUL character"),
        ("amplitude_id,user_id\n1,ann\n".encode("utf-16-be"), "line 1 has a NUL character"),
        (b"bob\nann\x00\n", "line 2 has a NUL character"),
        (b"\tann\n", "begins with a tab"),
        (b'"\tann"\n', "begins with a tab"),
        (gzip.compress(b"ann\n", mtime=0)[:-4], "gzip stream"),
        (gzip.compress(b"ann\n", mtime=0) + bytes(512), "gzip stream"),
        (gzip.compress(b"ann\n" * 99, mtime=0)[:20] + b"ann", "gzip stream"),
    ],
)
def test_what_cannot_be_read_is_refused_as_a_whole_and_no_id_is_told(content: bytes, problem: str) -> None:
    with pytest.raises(UserListError, match=problem) as refused:
        read_user_list(content)

    assert "Nothing was erased" in str(refused.value)
    assert "ann" not in str(refused.value).replace("cannot", "")
    assert not refused.value.retryable


def test_no_user_id_is_shown_of_a_list() -> None:
    assert "ann" not in repr(read_user_list(b"ann\n"))
