"""Read an operator's parameters at run time, because a template renders each of them to a string.

Numbers and flags may be strings. ``None`` and the empty string mean none, where none is allowed. Lists and dictionaries
may be JSON or a Python literal. An error names the parameter, what it got and what it takes.
"""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_amplitude_segment.exceptions import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NONE_WORDS = frozenset({"", "none", "null"})
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})
_WORD = re.compile(r"""[ \t]*(?:"([^"]*)"|'([^']*)'|([^,;"\r\n]*))[ \t]*(?:,|\r\n|\n|\r|\Z)""")
_QUOTES = ("'", '"')
_MAX_ID_CHARACTERS = 300
# Segment merges it into each message, and accepts 32 KB of a message.
_MAX_JSON_BYTES = 8_000


def is_none(value: object) -> bool:
    """Return whether a value means none: ``None``, or a string that it renders to.

    >>> [is_none(value) for value in (None, "", " None ", "null", 0, "0")]
    [True, True, True, True, False, False]
    """
    return value is None or (isinstance(value, str) and value.strip().lower() in _NONE_WORDS)


def read_cohort_id(value: object) -> str:
    """Read a cohort ID. An integer is read as text. A float raises, because its digits are lost.

    >>> read_cohort_id(1234567), read_cohort_id(" 26umsb5 ")
    ('1234567', '26umsb5')
    """
    takes = "Amplitude's cohort ID, the last part of the cohort's URL"
    if isinstance(value, list):
        raise SettingError(
            "cohort_id", f"got {_shown(value)}", f"{takes}; for several, map the operator: expand(cohort_id=…)"
        )
    if isinstance(value, float):
        raise SettingError(
            "cohort_id",
            f"got the number {value!r}, which is no ID any more (an ID such as 12e4567 reads as a number where the "
            "DAG sets render_template_as_native_obj=True)",
            "text; take render_template_as_native_obj away, or quote the ID where it comes from",
        )
    if is_none(value) or isinstance(value, bool) or not isinstance(value, str | int):
        raise SettingError("cohort_id", f"got {_shown(value)}", takes)
    text = str(value).strip()
    if len(text) > _MAX_ID_CHARACTERS or not text.isprintable():
        raise SettingError("cohort_id", f"got text of {len(text)} characters that is no ID", takes)
    return text


def read_connection_ids(value: object) -> list[str]:
    """Read one connection ID or several: in order, without repeats, nested lists flattened.

    >>> read_connection_ids("segment_default, segment_emea"), read_connection_ids('["a", "b", "a"]')
    (['segment_default', 'segment_emea'], ['a', 'b'])
    >>> read_connection_ids([["segment_default"], "segment_emea"])
    ['segment_default', 'segment_emea']
    """
    takes = "a connection ID, or several (a list, or with commas or line breaks between them)"
    if isinstance(value, str) and not value.strip().startswith(("[", "(")):
        value = _words("segment_conn_id", value, takes)
    found = _flat(_literal(value))
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise SettingError("segment_conn_id", f"got {_shown(value)}", takes)
    ids = list(dict.fromkeys(item.strip() for item in found if not is_none(item)))
    if not ids:
        raise SettingError("segment_conn_id", "names no connection", takes)
    return ids


def read_connection_id(name: str, value: object) -> str:
    """Read one connection ID."""
    if is_none(value) or not isinstance(value, str):
        raise SettingError(name, f"got {_shown(value)}", "a connection ID")
    return value.strip()


def read_folder(name: str, value: object) -> str | None:
    """Read the path or the URL of a folder, or none.

    >>> read_folder("cohort_files", " s3://aws_default@bucket/amplitude/ "), read_folder("cohort_files", "None")
    ('s3://aws_default@bucket/amplitude', None)
    """
    if is_none(value):
        return None
    # A template of a path object renders to one.
    text = str(value).strip().rstrip("/") if isinstance(value, str | PurePath) else ""
    if not text or not text.isprintable():
        raise SettingError(name, f"got {_shown(value)}", "an absolute path or a URL of a folder, or None")
    return text


def read_choice(name: str, value: object, choices: Any) -> Any:
    """Read one of a ``Literal``'s words, in any case.

    >>> from typing import Literal
    >>> read_choice("sync_mode", " Full", Literal["incremental", "full"])
    'full'
    """
    words: Sequence[str] = get_args(choices)
    word = value.strip().lower() if isinstance(value, str) else value
    if word not in words:
        raise SettingError(name, f"got {_shown(value)}", " or ".join(repr(choice) for choice in words))
    return word


def read_flag(name: str, value: object) -> bool:
    """Read a flag.

    >>> read_flag("dry_run", "True"), read_flag("dry_run", "no"), read_flag("dry_run", False)
    (True, False, False)
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if isinstance(value, str | int) and word in _TRUE_WORDS | _FALSE_WORDS:
        return word in _TRUE_WORDS
    raise SettingError(name, f"got {_shown(value)}", "True or False")


def read_number(
    name: str,
    value: object,
    *,
    above: float = 0,
    most: float = math.inf,
    or_equal: bool = False,
    kind: str = "a number",
) -> float:
    """Read a number greater than ``above`` (with ``or_equal``, or equal to it) and at most ``most``.

    >>> read_number("poll_interval", "2.5"), read_number("max_exit_ratio", "0", most=1, or_equal=True)
    (2.5, 0.0)
    """
    takes = f"{kind} {'from' if or_equal else 'over'} {above:g}" + (f" to {most:g}" if most < math.inf else "")
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and (above < number or (or_equal and number == above)) and number <= most):
        raise SettingError(name, f"got {_shown(value)}", takes)
    return number


def read_whole_number(name: str, value: object, *, least: int, most: int) -> int:
    """Read a whole number from ``least`` to ``most``."""
    number = read_number(name, value, above=least, most=most, or_equal=True, kind="a whole number")
    if number != int(number):
        raise SettingError(name, f"got {_shown(value)}", f"a whole number from {least} to {most}")
    return int(number)


def read_names(name: str, value: object, *, most: int) -> tuple[str, ...]:
    """Read names from a list, or from text with commas or line breaks; return them sorted and without repeats.

    >>> read_names("user_properties", "plan, country,plan", most=50), read_names("user_properties", "", most=50)
    (('country', 'plan'), ())
    >>> read_names("user_properties", '"plan", "home, town"', most=50)
    ('home, town', 'plan')
    """
    takes = f"a list of at most {most} names, or names with commas or line breaks between them, or None"
    if is_none(value):
        return ()
    if isinstance(value, str) and not value.strip().startswith(("[", "(")):
        value = _words(name, value, takes)
    found = _flat(_literal(value))
    if not isinstance(found, list) or not all(isinstance(item, str) and item.isprintable() for item in found):
        raise SettingError(name, f"got {_shown(value)}", takes)
    names = {item.strip() for item in found} - {""}
    if len(names) > most or any(len(item) > _MAX_ID_CHARACTERS for item in names):
        raise SettingError(name, f"got {_shown(value)}", takes)
    return tuple(sorted(names))


def read_pair(name: str, value: object, keys: tuple[str, str], *, takes: str) -> tuple[str, str]:
    """Read two names in order: from a pair, from text with a comma or a line break, or from a dictionary by its keys.

    >>> read_pair("event_names", '["Joined", "Left"]', ("entered", "exited"), takes="")
    ('Joined', 'Left')
    """
    if isinstance(value, str) and not value.strip().startswith(("[", "(", "{")):
        value = _words(name, value, takes)
    found = _literal(value)
    if isinstance(found, dict) and found.keys() == set(keys):
        found = [found[key] for key in keys]
    if isinstance(found, list | tuple) and len(found) == len(keys):
        first, second = (item.strip() if isinstance(item, str) and item.isprintable() else "" for item in found)
        if first and second:
            return first, second
    raise SettingError(name, f"got {_shown(value)}", takes)


def read_object(name: str, value: object) -> Mapping[str, Any] | None:
    """Read a JSON object, or none.

    >>> read_object("integrations", "{'All': False, 'Braze': True}"), read_object("integrations", "{}")
    ({'All': False, 'Braze': True}, None)
    """
    takes = f"a dictionary that JSON can hold, in {_MAX_JSON_BYTES:,} bytes, or None"
    if is_none(value):
        return None
    found = _literal(value)
    try:
        text = json.dumps(found, allow_nan=False)
    except (TypeError, ValueError):
        text = ""
    if not isinstance(found, dict) or not text or len(text) > _MAX_JSON_BYTES:
        raise SettingError(name, f"got {_shown(value)}", takes)
    return dict(json.loads(text)) or None


def _words(name: str, text: str, takes: str) -> list[str]:
    r"""Split text at commas and line breaks, and remove the quotation marks around a word.

    :raises SettingError: a quotation mark is not closed or is inside a word, or the text has a semicolon.

    >>> _words("segment_conn_id", "a, 'b'\n\"c\"", "")
    ['a', 'b', 'c']
    """
    words, position = [], 0
    while position < len(text):
        match = _WORD.match(text, position)
        word = next((found for found in match.groups() if found is not None), "") if match else ""
        if match is None or word.strip()[:1] in _QUOTES or word.strip()[-1:] in _QUOTES:
            raise SettingError(name, f"got {_shown(text)}", f"{takes}; a name with another character goes into a list")
        words.append(word)
        position = match.end()
    return words


def _literal(value: object) -> object:
    """Parse a string as JSON or as a Python literal, without evaluating it; return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _flat(value: object) -> object:
    """Flatten a list and the lists in it; return any other value unchanged."""
    if not isinstance(value, list | tuple):
        return value
    parts = [_flat(item) for item in value]
    return [item for part in parts for item in (part if isinstance(part, list) else [part])]


def _shown(value: object) -> str:
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line's worth
    return f"{shown} ({type(value).__name__})"
