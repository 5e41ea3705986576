"""The machine and what is installed, as far as figures depend on it and nobody is named."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NODE_MODULES = Path(sys.prefix).parent / "node"
"""Where the Makefile installs Segment's library for Node.js."""

NODE_LIBRARY = "@segment/analytics-node"

_NODE_LIBRARY_FOLDER = NODE_MODULES / "node_modules" / NODE_LIBRARY
_PACKAGES = ("apache-airflow", "duckdb", "requests", "segment-analytics-python")


def describe_machine() -> dict[str, Any]:
    """Return cores, memory and versions."""
    versions = {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}
    if node := find_node():
        asked = subprocess.run([node, "--version"], check=True, capture_output=True, text=True)  # noqa: S603
        versions["node"] = asked.stdout.strip().removeprefix("v")
        versions[NODE_LIBRARY] = json.loads((_NODE_LIBRARY_FOLDER / "package.json").read_text())["version"]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(_total_memory_kib() / 2**20),
        "versions": {name: number for name, number in versions.items() if number},
    }


def find_node() -> str | None:
    """Return Node.js where Segment's library is installed for it; else that peer is left out."""
    return shutil.which("node") if _NODE_LIBRARY_FOLDER.exists() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _total_memory_kib() -> int:
    return int(Path("/proc/meminfo").read_text().split()[1])
