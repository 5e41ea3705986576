"""A world for each test of core."""

from pathlib import Path

import pytest
from fakes import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
