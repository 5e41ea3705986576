"""Build wheel and sdist, check their contents, and install the wheel in an empty environment.

Airflow must find the provider there: ``airflow providers list`` and ``airflow providers hooks`` show it. The discovery
must import nothing of Airflow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_amplitude_segment"
DISCOVERY = f"""
import sys
from importlib.metadata import entry_points
[entry] = [e for e in entry_points(group="apache_airflow_provider") if e.module.startswith("{PACKAGE}")]
info = entry.load()()
heavy = [name for name in sys.modules if name.split(".")[0] in ("airflow", "duckdb", "requests")]
assert not heavy, f"imported at discovery: {{heavy}}"
print("discovered", info["package-name"], "without importing Airflow")
"""

PLUGIN = f"""
from importlib.metadata import entry_points
[entry] = [e for e in entry_points(group="airflow.plugins") if e.module.startswith("{PACKAGE}")]
plugin = entry.load()
print("plugin", plugin.name, "with", ", ".join(app["name"] for app in plugin.react_apps))
"""


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its output; its error output goes to this program's."""
    return subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
    ).stdout


def build(to: Path) -> tuple[Path, Path]:
    """Build the wheel and the sdist from the checkout, and return their paths."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", to)
    return next(to.glob("*.whl")), next(to.glob("*.tar.gz"))


def check_contents(wheel: Path, sdist: Path) -> None:
    """Check that the wheel has only the package, and the sdist tests and examples too."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    others = [n for n in names if not n.startswith((f"{PACKAGE}/", f"{PACKAGE}-"))]
    assert not others, others
    for needed in (
        *("py.typed", "get_provider_info.py", "sandbox/page.html"),
        *("ui/pages/cohort_syncs.js", "ui/pages/cohort_sync_tab.js"),
    ):
        assert f"{PACKAGE}/{needed}" in names, needed
    with tarfile.open(sdist) as archive:
        folders = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert {PACKAGE, "tests", "example_dags", "docs", "pyproject.toml", "LICENSE"} <= folders, folders
    print(f"{wheel.name}: {len(names)} files, all of the package; {sdist.name}: with tests and examples")


def check_installed(wheel: Path, home: Path) -> None:
    """Check that Airflow shows the provider and its two connection types in an environment with the wheel alone."""
    environment = home / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-qq", "--constraint", ROOT / "constraints/airflow-3.3.txt", wheel)
    print(run(python, "-c", DISCOVERY).strip())
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home / "airflow"),
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
    }
    print(run(python, "-c", PLUGIN, env=env).splitlines()[-1])
    listed = run(environment / "bin" / "airflow", "providers", "list", "--output", "plain", env=env)
    hooks = run(environment / "bin" / "airflow", "providers", "hooks", "--output", "plain", env=env)
    assert "airflow-provider-amplitude-segment" in listed, listed
    for line in (line for line in hooks.splitlines() if PACKAGE in line):
        print(" ".join(line.split()))
    assert f"{PACKAGE}.hooks.amplitude.AmplitudeHook" in hooks, hooks
    assert f"{PACKAGE}.hooks.segment.SegmentHook" in hooks, hooks
    assert f"{PACKAGE}.hooks.segment_api.SegmentApiHook" in hooks, hooks


def main() -> None:
    """Check wheel and sdist."""
    with tempfile.TemporaryDirectory(prefix="amplitude-segment-wheel-") as folder:
        home = Path(folder)
        wheel, sdist = build(home / "dist")
        check_contents(wheel, sdist)
        check_installed(wheel, home)
    print("wheel and sdist: good")


if __name__ == "__main__":
    main()
