"""Make the trait key: the cohort's name on a user's profile in Segment."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SettingError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.export.cohort import Cohort

DEFAULT_TRAIT_NAME = "{cohort_name} ({cohort_id})"
"""As Amplitude's own sync has it: https://amplitude.com/docs/data/destination-catalog/segment."""

_SETTING = "trait_name"
_TAKES = (
    "text with the fields {cohort_name} and {cohort_id} as they stand here and nothing else in braces, "
    "e.g. '[Amplitude] {cohort_name} ({cohort_id})'"
)


def trait_key(template: str, cohort: Cohort) -> str:
    """Return a template with its fields filled in; neither it nor the cohort's name is evaluated.

    Args:
        template: text with the plain fields ``{cohort_name}`` and ``{cohort_id}``.
        cohort: its name is taken literally, braces included.

    Raises:
        SettingError: the template has another field, an attribute, an index, a conversion, a format or an unpaired
            brace, or the key is blank.

    >>> from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    >>> trait_key("{cohort_name} ({cohort_id})", Cohort("26umsb5", "Power Users", "1"))
    'Power Users (26umsb5)'
    >>> trait_key("<{cohort_name}>", Cohort("26umsb5", "{cohort_id}", "1"))
    '<{cohort_id}>'
    """
    if "{{" in template or "}}" in template or "{%" in template:
        raise SettingError(_SETTING, f"{template!r} contains an expression", _TAKES)
    values = {"cohort_name": cohort.name, "cohort_id": cohort.cohort_id}
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise SettingError(_SETTING, f"{template!r} is no template ({error})", _TAKES) from None
    key = spelled = ""
    for literal, field, _, _ in parts:
        key += literal
        spelled += literal.replace("{", "{{").replace("}", "}}")
        if field is None:
            continue
        spelled += f"{{{field}}}"
        if field not in values:
            raise SettingError(_SETTING, f"{template!r} has the field {field!r}", _TAKES)
        key += values[field]
    # The respelled template lacks formats and conversions, even empty ones.
    if spelled != template:
        raise SettingError(_SETTING, f"{template!r} formats or converts a field", _TAKES)
    if not key.strip():
        raise SettingError(_SETTING, f"{template!r} gives a blank trait name", _TAKES)
    return key
