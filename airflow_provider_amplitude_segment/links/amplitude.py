"""The link from a task to its cohort in Amplitude."""

from __future__ import annotations

from airflow_provider_amplitude_segment.links.pushed_link import PushedLink


class AmplitudeCohortLink(PushedLink):
    """The cohort's page; hidden without the connection's ``org_url``, which names the organization."""

    name = "Cohort in Amplitude"
    xcom_key = "amplitude_cohort_url"
