"""Segment's own clients for Node.js, run against the sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
INSTALLED = Path(sys.prefix).parent / "second-opinions"
"""Where the Makefile installs them."""

Run = Callable[..., Any]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox by the real time, because Segment's clients know no other."""
    with Sandbox.start(keep_messages=True) as running:
        yield running


@pytest.fixture(scope="session")
def node() -> Run:
    """Run one of the programs beside this file, and return the JSON that it prints."""
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        pytest.skip("npm is missing, so Segment's clients for Node.js are not asked")
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    if any(not (INSTALLED / "node_modules" / name).exists() for name in wanted):
        pytest.fail("Segment's clients for Node.js are not installed: run `make .venv/second-opinions/ready`")

    def run(name: str, **order: Any) -> Any:
        argument = json.dumps({"modules": str(INSTALLED), **order})
        command = [program, "--no-deprecation", str(HERE / name), argument]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run
