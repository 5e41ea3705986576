"""What docs/how-to/test-your-dag.md says of the sandbox is true."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_amplitude_segment.sandbox import Fault, FileForm, SandboxCohort, SandboxSegment, sample_cohorts
from airflow_provider_amplitude_segment.sandbox.cohort_files import Existing, SetFault
from airflow_provider_amplitude_segment.sandbox.faults import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.sandbox import Sandbox

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-dag.md"


def test_the_cohorts_of_the_program_are_those_of_the_docs() -> None:
    """Each sample cohort stands in the table with its name, ID and size."""
    rows = dict(re.findall(r"^\| ([^|]+?) \| (`\w+` \| [\d,]+) \|", DOCS.read_text(), flags=re.MULTILINE))

    assert rows == {c.name: f"`{c.cohort_id}` | {len(c.user_ids):,}" for c in sample_cohorts()}


def test_the_examples_run(sandbox: Sandbox, segment: Any) -> None:
    """The examples are Python, and the faults ordered in one do what its comments say."""
    example, faults, files = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), flags=re.MULTILINE | re.DOTALL)
    compile(example, "example", "exec")
    exec(faults, {"sandbox": sandbox, "Fault": Fault})  # noqa: S102 - our own docs

    assert [segment.send().status_code for _ in range(3)] == [200, 200, 429]
    assert [fault.on for fault in sandbox.faults.pending] == ["segment.batch", "amplitude.file"]
    exec(files, {"sandbox": sandbox, "SandboxCohort": SandboxCohort})  # noqa: S102
    assert [made.is_complete for made in sandbox.cohort_files.sets] == [True, True]


def test_names_in_the_docs_exist(sandbox: Sandbox, clock: Callable[[], float]) -> None:
    """Every attribute and every kind of request that the docs name is there."""
    text = DOCS.read_text()
    for holder, names in (
        (sandbox, re.findall(r"`sandbox\.(\w+)", text)),
        (sandbox.amplitude, re.findall(r"`sandbox\.amplitude\.(\w+)", text)),
        (SandboxSegment(clock=clock), re.findall(r"`sandbox\.segment\.(\w+)", text)),
    ):
        assert names
        for name in names:
            assert hasattr(holder, name), name
    section = text.partition("\n## Cohort files\n")[2].partition("\n## ")[0]
    for name in re.findall(r"`\.(\w+)", section):
        assert hasattr(sandbox.cohort_files, name), name
    for value in (*get_args(Existing), *get_args(SetFault)):
        assert f'`"{value}"`' in section
    for field in dataclasses.fields(FileForm):
        assert f"`{field.name}`" in section
    for point in get_args(Point):
        assert f"`{point}`" in text or f"`.{point.split('.')[1]}`" in text
