"""A link whose URL the task pushes at its start, so that the link works while the task runs."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom


class PushedLink(BaseOperatorLink):
    """The URL in the XCom ``xcom_key``, or an empty text, which hides the link.

    ``get_link`` reads the XCom, because both Airflow lines then show the same URL. Airflow 3 shows the XCom itself, and
    overwrites it with the result of ``get_link`` when a try ends. Airflow 2 calls ``get_link`` when the UI shows the
    task.
    """

    xcom_key = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL that the task instance pushed, or an empty text."""
        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")
