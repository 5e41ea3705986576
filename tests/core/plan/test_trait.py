"""A trait's key is filled in from two plain fields, and nothing in it is ever evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.export.cohort import Cohort
from airflow_provider_amplitude_segment.core.plan.trait import DEFAULT_TRAIT_NAME, trait_key
from airflow_provider_amplitude_segment.exceptions import SettingError

COHORT = Cohort("26umsb5", "Power Users", "187520")


@pytest.mark.parametrize(
    ("template", "key"),
    [
        (DEFAULT_TRAIT_NAME, "Power Users (26umsb5)"),
        ("[Amplitude] {cohort_name} ({cohort_id})", "[Amplitude] Power Users (26umsb5)"),
        ("is_power_user", "is_power_user"),
        ("{cohort_id}{cohort_id}", "26umsb526umsb5"),
    ],
)
def test_a_template_is_filled_in(template: str, key: str) -> None:
    """The two fields stand for the cohort's name and ID, doubled braces for braces."""
    assert trait_key(template, COHORT) == key


@pytest.mark.parametrize("template", ["{{ 1 + 1 }}", "{{{cohort_id}}}", "{cohort_id} }}", "{% if x %}{cohort_id}"])
def test_nothing_in_a_template_is_evaluated(template: str) -> None:
    """What Airflow's own rendering has left of a template is not taken for text."""
    with pytest.raises(SettingError, match="contains an expression"):
        trait_key(template, Cohort("26umsb5", "Power Users", "1"))


@pytest.mark.parametrize(
    "template",
    [
        "{name}",
        "{}",
        "{0}",
        "{cohort_name.__class__}",
        "{cohort_name.__init__.__globals__}",
        "{cohort_name[0]}",
        "{cohort_name!r}",
        "{cohort_name!s}",
        "{cohort_name:>1000000000}",
        "{cohort_name:{cohort_id}}",
        "{cohort_name:}",
        "{ cohort_name }",
        "{cohort_name",
        "cohort_name}",
        "{{cohort_name}",
        "{",
        "",
        "   ",
    ],
)
def test_anything_else_is_refused(template: str) -> None:
    """The error names the parameter and what it takes."""
    with pytest.raises(SettingError, match=r"trait_name: .*\{cohort_name\} and \{cohort_id\}") as caught:
        trait_key(template, COHORT)
    assert caught.value.setting == "trait_name"


def test_a_template_that_comes_to_nothing_is_refused() -> None:
    """A cohort without a name has no key of its name alone."""
    with pytest.raises(SettingError, match="blank"):
        trait_key("{cohort_name}", Cohort("26umsb5", " ", "187520"))


@given(st.text(max_size=30), st.text(min_size=1, max_size=8))
def test_a_name_is_taken_letter_by_letter(name: str, cohort_id: str) -> None:
    """Braces in a cohort's name are letters like any other."""
    assert trait_key("{cohort_name} ({cohort_id})", Cohort(cohort_id, name, "1")) == f"{name} ({cohort_id})"


@given(st.text(alphabet="{}cohort_nameid.[]!:r0 ", max_size=40))
def test_a_template_is_filled_in_as_python_would_or_refused(template: str) -> None:
    """No template gives another key than ``str.format`` does."""
    try:
        key = trait_key(template, COHORT)
    except SettingError:
        return
    assert key == template.format(cohort_name=COHORT.name, cohort_id=COHORT.cohort_id)
