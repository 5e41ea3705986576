"""The documents: their Python runs, and they leave out no parameter, no field of the report and no error."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat import sdk

from airflow_provider_amplitude_segment import exceptions
from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport
from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.operators.verify import SegmentCohortVerifyOperator
from airflow_provider_amplitude_segment.sandbox import Sandbox
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

_BLOCK = re.compile(r"^```python( airflow>=3\.3)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

ERRORS = [
    found
    for _, found in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(found, exceptions.AmplitudeSegmentError)
]
GROUPS = {base for found in ERRORS for base in found.__bases__} - {exceptions.ExportFileError}
REFERENCE = ROOT / "docs" / "reference"
OPERATORS = {
    operator.__name__: operator
    for operator in (
        AmplitudeCohortToSegmentOperator,
        AmplitudeCohortTraitRetireOperator,
        SegmentCohortVerifyOperator,
    )
}
PARAMETERS = [
    (name, parameter)
    for name, operator in OPERATORS.items()
    for parameter in inspect.signature(operator.__init__).parameters.values()
    if parameter.kind is parameter.KEYWORD_ONLY
]


def row(text: str, name: str) -> str:
    """Return the one table row that begins with a name."""
    found = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
    assert len(found) == 1, f"{name} has {len(found)} rows"
    return found[0]


@pytest.fixture
def environment() -> Iterator[None]:
    """Give the environment back as it was: a document may set connections."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_python_block_of_a_document_runs_after_those_before_it(document: Path) -> None:
    text = document.read_text()
    names: dict[str, Any] = {"__name__": "document"}

    with Sandbox.start() as sandbox:
        for block in _BLOCK.finditer(text):
            line = text[: block.start(2)].count("\n")
            code = compile("\n" * line + block[2], str(document), "exec")
            if block[1] is None or hasattr(sdk, "ExceptionRetryPolicy"):
                exec(code, names)  # noqa: S102 - our own documents
            names["sandbox"] = sandbox  # what the fixture of that name gives in docs/how-to/test-your-dag.md


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    for target, anchor in _LINK.findall(document.read_text()):
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), target
        if anchor:
            headings = _HEADING.findall(path.read_text())
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize(("operator", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "name", value))
def test_every_parameter_is_documented_with_its_default(operator: str, parameter: inspect.Parameter) -> None:
    _, _, section = (REFERENCE / "operators.md").read_text().partition(f"\n## `{operator}`\n")

    default = row(section.partition("\n## ")[0], parameter.name).split(" | ")[1]

    if parameter.name == "deferrable":
        assert default == "`[operators] default_deferrable`"
    elif parameter.default is parameter.empty:
        assert default == "required"
    else:
        assert default == f"`{parameter.default}`"


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_parameter_but_deferrable_and_notifiers_is_a_template(operator: str) -> None:
    templates = set(OPERATORS[operator].template_fields)
    parameters = {parameter.name for name, parameter in PARAMETERS if name == operator}

    assert parameters - {"deferrable", "notifiers"} == templates


@pytest.mark.parametrize(("operator", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "name", value))
def test_every_parameter_is_described_where_it_is_declared(operator: str, parameter: inspect.Parameter) -> None:
    described = inspect.getdoc(OPERATORS[operator]) or ""

    assert described.count(f":param {parameter.name}:") == 1


@pytest.mark.parametrize("report", [SyncReport, DestinationReport, VerifyReport, VerifiedDestination])
def test_every_field_of_the_report_is_documented(report: type) -> None:
    text = (REFERENCE / "report.md").read_text()

    assert [f.name for f in dataclasses.fields(report) if f"`{f.name}`" not in text] == []


@pytest.mark.parametrize("error", sorted(set(ERRORS) - GROUPS, key=str), ids=lambda error: error.__name__)
def test_every_error_has_its_row_which_says_whether_it_is_retried(
    error: type[exceptions.AmplitudeSegmentError],
) -> None:
    errors = (REFERENCE / "errors.md").read_text()

    assert row(errors, error.__name__).startswith(f"| `{error.__name__}`, retried |") is error.retryable


def test_every_group_of_errors_is_named() -> None:
    text = (REFERENCE / "errors.md").read_text()
    groups = {found.__name__ for found in GROUPS} - {"Exception"}

    assert {name for name in groups if f"`{name}`" not in text} == set()
