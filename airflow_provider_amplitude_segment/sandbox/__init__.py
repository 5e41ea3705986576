"""A stand-in Amplitude and Segment on loopback, for tests and trials.

It follows the vendors' documents and imports nothing else of this package, because only then can a test find a
difference between the two. ``python -m airflow_provider_amplitude_segment.sandbox`` starts it from the command line.

    with Sandbox.start(cohorts=[SandboxCohort("26umsb5", "Power users", ["ann", "bob"])]) as sandbox:
        ...  # run a DAG against sandbox.airflow_connections()
        assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power users (26umsb5)") == {"ann", "bob"}
"""

from __future__ import annotations

try:
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "The sandbox needs its extra: pip install 'airflow-provider-amplitude-segment[sandbox]'"
    ) from error

from airflow_provider_amplitude_segment.sandbox.amplitude import SandboxAmplitude
from airflow_provider_amplitude_segment.sandbox.churn import Churn
from airflow_provider_amplitude_segment.sandbox.cohort_files import CohortFiles, FileSet
from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort
from airflow_provider_amplitude_segment.sandbox.comparison import Comparison
from airflow_provider_amplitude_segment.sandbox.faults import Fault, Faults
from airflow_provider_amplitude_segment.sandbox.file_form import FileForm
from airflow_provider_amplitude_segment.sandbox.oauth import OAuthApp
from airflow_provider_amplitude_segment.sandbox.received import Batch, ReceivedMessage
from airflow_provider_amplitude_segment.sandbox.sample_cohorts import sample_cohorts
from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment
from airflow_provider_amplitude_segment.sandbox.server import Sandbox
from airflow_provider_amplitude_segment.sandbox.sources import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    SandboxDestination,
    SandboxSource,
)

__all__ = [
    "WRITE_KEY_DEFAULT",
    "WRITE_KEY_EMEA",
    "Batch",
    "Churn",
    "CohortFiles",
    "Comparison",
    "Fault",
    "Faults",
    "FileForm",
    "FileSet",
    "OAuthApp",
    "ReceivedMessage",
    "Sandbox",
    "SandboxAmplitude",
    "SandboxCohort",
    "SandboxDestination",
    "SandboxSegment",
    "SandboxSource",
    "sample_cohorts",
]
