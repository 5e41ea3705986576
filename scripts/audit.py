"""Ask pip-audit for known vulnerabilities in files of pins: ``audit.py constraints/*.txt``.

Exits with 1 where it finds one. Where PyPI's advisories are not reached (a mirror without them, no network) nothing can
be said of any package: that is printed as what it is, and is no failure of this package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def advisories(pins: Path) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package of a file."""
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", pins, "--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"pip-audit could not be run:\n{asked.stderr}")
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
            print("NOT AUDITED: PyPI's advisories were not reached.")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
