"""Every sample file comes to what is expected of it, and every user ID to its last character."""

import codecs
import csv
import gzip
import json
import tempfile
from pathlib import Path
from random import Random

import pytest
from fakes.engine import shared_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.membership.membership import Membership, read_membership
from airflow_provider_amplitude_segment.exceptions import ExportCutOffError, ExportFileError

SAMPLES = Path(__file__).parents[2] / "samples"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text())


def read(file: Path, scratch: Path) -> tuple[Membership, set[str]]:
    with shared_engine(scratch).connect() as engine:
        membership = read_membership(engine, file, scratch)
        users = engine.execute(
            "SELECT user_id FROM read_parquet($1) WHERE user_id IS NOT NULL", [str(membership.path)]
        ).fetchall()
    return membership, {user for (user,) in users}


def read_bytes(content: bytes) -> tuple[Membership, set[str]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export"
        file.write_bytes(content)
        return read(file, Path(folder))


def test_the_samples_are_all_there() -> None:
    assert set(EXPECTED) == {p.name for p in SAMPLES.iterdir()} - {"expected.json", "README.md"}
    assert len(EXPECTED) == 12


@pytest.mark.parametrize("name", [name for name, outcome in EXPECTED.items() if "error" not in outcome])
def test_a_cohort_file_comes_to_what_is_expected(name: str, tmp_path: Path) -> None:
    membership, users = read(SAMPLES / name, tmp_path)

    counts = {
        "rows": membership.rows,
        "members": membership.members,
        "anonymous": membership.anonymous,
        "duplicates": membership.duplicates,
    }
    assert counts == {key: EXPECTED[name][key] for key in counts}
    assert len(users) == membership.members


@pytest.mark.parametrize("name", [name for name, outcome in EXPECTED.items() if "error" in outcome])
def test_a_file_that_is_no_whole_cohort_is_refused_with_its_fault(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportFileError) as refused:
        read(SAMPLES / name, tmp_path)

    assert refused.value.fault == EXPECTED[name]["error"]
    assert "Nothing was sent" in str(refused.value)


_CSV = b'"amplitude_id","user_id"\n' + b"".join(b'"%d","user-%d"\n' % (n, n) for n in range(2_000))
_FIRST, _SECOND = gzip.compress(_CSV[:20_000]), gzip.compress(_CSV[20_000:])


def test_a_gzip_file_of_two_members_is_read_whole() -> None:
    membership, _ = read_bytes(_FIRST + _SECOND)

    assert membership.members == 2_000


def test_a_byte_order_mark_that_two_members_share_is_removed() -> None:
    mark = codecs.BOM_UTF8
    membership, _ = read_bytes(gzip.compress(mark[:1]) + gzip.compress(mark[1:] + _CSV))

    assert membership.members == 2_000


@pytest.mark.parametrize(
    ("content", "refused_as"),
    [
        (_FIRST + bytes(len(_SECOND)), ExportFileError),
        (_FIRST + bytes(512), ExportFileError),
        (_FIRST + _SECOND + bytes(9), ExportFileError),
        (_FIRST + b"\0" * 2 + _SECOND, ExportFileError),
        (_FIRST + _SECOND[:1], ExportCutOffError),
        (_FIRST + _SECOND[:40], ExportCutOffError),
        (gzip.compress(_CSV.replace(b"user-7", b"\xff"))[:-40], ExportFileError),
        # The header has the flag of a checksum that it lacks, or a reserved one.
        (_FIRST[:3] + b"\x02" + _FIRST[4:], ExportFileError),
        (_FIRST[:3] + b"\x20" + _FIRST[4:], ExportFileError),
    ],
)
def test_a_damaged_gzip_file_is_never_taken_for_a_smaller_cohort(
    content: bytes, refused_as: type[ExportFileError]
) -> None:
    """A final fault stays final, and a cut is retried."""
    with pytest.raises(ExportFileError) as refused:
        read_bytes(content)

    assert type(refused.value) is refused_as


@pytest.mark.parametrize("name", ["plain.csv", "bom_crlf_swapped.csv", "with_properties.csv", "gzip.csv.gz"])
def test_user_ids_are_kept_to_the_last_character(name: str, tmp_path: Path) -> None:
    """Python's own reader of the same format finds the same ones."""
    content = (SAMPLES / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8-sig")
    rows = csv.DictReader(text.splitlines(keepends=True), strict=True)
    expected = {row["user_id"] for row in rows if row["user_id"].strip()}

    _, users = read(SAMPLES / name, tmp_path)

    assert users == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
            st.sampled_from(
                ["007", "NULL", "null", " a ", "a,b", 'q"q', "a\r\nb", "e\u0301", "é", "\t", "\ufeffx", "\x00"]
            ),
        ),
        max_size=30,
    )
)
def test_any_text_survives_the_file(ids: list[str]) -> None:
    """Whatever strings Amplitude may hold, what is read is what was written."""
    lines = ['"amplitude_id","user_id"', *('"1","' + user.replace('"', '""') + '"' for user in ids)]

    membership, users = read_bytes(("\n".join(lines) + "\n").encode())

    assert users == {user for user in ids if user.strip()}
    assert membership.rows == len(ids)


@pytest.mark.parametrize("kept", [3, 12, 700])
def test_a_gzip_stream_that_ends_early_may_be_whole_the_next_time(kept: int) -> None:
    whole = gzip.compress(b'"amplitude_id","user_id"\n' + b"".join(b'"1","%d"\n' % n for n in range(1000)))

    with pytest.raises(ExportCutOffError) as cut:
        read_bytes(whole[:kept])
    assert cut.value.retryable


def test_several_gzip_members_are_one_file() -> None:
    first, second = gzip.compress(b'"amplitude_id","user_id"\n"1","ann"\n'), gzip.compress(b'"2","bob"\n')

    assert read_bytes(first + second)[1] == {"ann", "bob"}


def test_damaged_gzip_is_refused() -> None:
    whole = bytearray(gzip.compress(b'"amplitude_id","user_id"\n' + b'"1","ann"\n' * 1000))
    whole[20:24] = b"\xff\xff\xff\xff"

    with pytest.raises(ExportFileError, match="gzip"):
        read_bytes(bytes(whole))


@pytest.mark.parametrize(
    ("rows", "line"),
    [('"1","ann"\n"2"\n', 3), ('"1","ann"\n"2","bob","x"\n', 3), ('"1","ann"\n"2","b"ob"x"\n', 3)],
)
def test_a_row_that_is_no_csv_is_named_by_its_line_and_never_quoted(rows: str, line: int) -> None:
    with pytest.raises(ExportFileError) as refused:
        read_bytes(f'"amplitude_id","user_id"\n{rows}'.encode())

    assert f"line {line}" in refused.value.fault or "ends inside" in refused.value.fault
    assert "ann" not in str(refused.value)
    assert "bob" not in str(refused.value)


def test_a_tab_that_amplitude_puts_before_every_string_is_taken_off() -> None:
    membership, users = read_bytes(b'"\tamplitude_id","\tuser_id"\n"\t1","\tann"\n"\t2","\t"\n')

    assert users == {"ann"}
    assert membership.anonymous == 1


def test_a_byte_that_is_cut_out_of_a_character_is_a_cut_off_file() -> None:
    with pytest.raises(ExportCutOffError, match="ends inside a character"):
        read_bytes('"amplitude_id","user_id"\n"1","é'.encode()[:-1])


def test_a_large_file_with_line_breaks_in_its_fields_is_read_whole(tmp_path: Path) -> None:
    """DuckDB 2.0 refuses this one when it reads in parallel."""
    random = Random(5)  # noqa: S311 - a seed that finds it with the size of the buffers
    characters = bytes(b'ab",\n\r'[byte % 6] for byte in range(256))
    letters = random.randbytes(60 * 600_000).translate(characters).decode()
    lengths = random.choices(range(1, 61), k=600_000)
    users = [f"{letters[60 * n : 60 * n + length]}{n}" for n, length in enumerate(lengths)]
    file = tmp_path / "export.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["amplitude_id", "user_id"])
        writer.writerows((str(n), user) for n, user in enumerate(users))

    assert read(file, tmp_path)[1] == set(users)


def test_a_file_in_which_the_engine_cannot_place_the_fault_is_refused_for_good() -> None:
    """It is the export that is wrong, not the worker: no retry makes it better."""
    with pytest.raises(ExportFileError, match="not CSV with 1 columns throughout"):
        read_bytes(b"user_id\ran\nn\r")


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_byte_order_mark_is_taken_off_however_the_file_is_cut(cut: int) -> None:
    content = b'\xef\xbb\xbf"user_id","amplitude_id"\n"ann","1"\n'

    assert read_bytes(gzip.compress(content[:cut]) + gzip.compress(content[cut:]))[1] == {"ann"}


def test_a_header_with_a_line_break_in_it_is_refused() -> None:
    """DuckDB takes the rows of such a file for none where they end in another kind of line break."""
    with pytest.raises(ExportFileError, match="a line break in its header"):
        read_bytes(b'"a\nb","user_id"\r\n"1","ann"\r\n"2","bob"\r\n')
