"""A link whose URL the task pushes as soon as it knows it, so that the link is live while the task runs."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom


class PushedLink(BaseOperatorLink):
    """The URL under ``xcom_key``, or an empty text, which hides the link.

    Airflow 3 reads the XCom by itself, and writes it again with what ``get_link`` says when a try ends; Airflow 2
    calls ``get_link`` when somebody looks. So there is one place where the URL stands, and both say what stands there.
    """

    xcom_key = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL that the task instance has pushed, empty where it has pushed none."""
        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")
