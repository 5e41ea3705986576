"""Groups of the task's log: what belongs to one step of a sync folds under one heading.

``::group::`` and ``::endgroup::`` each on a line of their own, at INFO: Airflow 2.11's log view looks for them there
alone. It knows no group within a group, and 3.3's would hide a line after one that was left open. So groups never
nest, and end however the step ends. What somebody must see stands outside of them.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Fold what is logged meanwhile, by any thread, under ``title``."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")
