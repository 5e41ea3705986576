"""Audit files of pins for known vulnerabilities with pip-audit: ``audit.py constraints/*.txt``.

Exits with 1 if it finds one. Without access to PyPI's advisories (a mirror without them, no network) it prints that
nothing was audited, and exits with 0, because this package has not failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def advisories(pins: Path) -> list[dict[str, Any]]:
    """Return pip-audit's result for each package of a file."""
    audited = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", pins, "--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(audited.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"pip-audit failed:\n{audited.stderr}")
    return found


def main(files: list[str]) -> int:
    """Audit files of pins."""
    vulnerable = 0
    for file in files:
        packages = advisories(Path(file))
        skipped = [package for package in packages if "skip_reason" in package]
        for package in packages:
            for advisory in package.get("vulns", []):
                vulnerable += 1
                fixed = ", ".join(advisory["fix_versions"]) or "no release yet"
                print(f"{file}: {package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
        print(f"{file}: {len(packages) - len(skipped)} of {len(packages)} packages audited, {vulnerable} advisories")
        if len(skipped) == len(packages):
            print("NOT AUDITED: PyPI's advisories could not be reached.")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
