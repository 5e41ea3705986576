"""Engines that many syncs of a test process share: to open one takes longer than a small sync."""

import atexit
from functools import cache
from pathlib import Path

from airflow_provider_amplitude_segment.core.engine.database import Engine


def shared_engine(scratch: Path, *, is_wide: bool = False) -> Engine:
    """Return the engine of all scratch folders below the same folder of the root."""
    return _engine_below(Path(*scratch.absolute().parts[:2]), is_wide=is_wide)


@cache
def _engine_below(folder: Path, *, is_wide: bool) -> Engine:
    return Engine(folder, is_wide=is_wide)


# DuckDB lists what was left open when Python ends.
atexit.register(_engine_below.cache_clear)
