"""Check that a release can be made: ``make release-check``.

The version is the same everywhere, the fragments of the changelog are valid, wheel and sdist are built and pass
``twine check``, and the README renders as a package index shows it. With ``--final``, which is for the release's own
commit, the changelog must begin with the version, and no fragment may wait.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from check_wheel import PACKAGE, ROOT, build
from readme_renderer import markdown

_VERSION_LINE = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_VERSION_HEADING = re.compile(r"^## \[?v?(\d+\.\d+\.\d+[\w.]*)\]?", re.MULTILINE)
_FRAGMENT = re.compile(r"\d+\.(\w+)\.md")


def package_version(source: str) -> str:
    """Return the version that the package's ``__init__.py`` states.

    >>> package_version('__version__ = "0.1.0"')
    '0.1.0'
    """
    found = _VERSION_LINE.search(source)
    return found[1] if found else ""


def check_version(version: str, pyproject: dict[str, Any]) -> list[str]:
    """Return what is wrong with the version of ``pyproject.toml``, which states it or names the package's file.

    >>> check_version("0.1.0", {"project": {"version": "0.2.0"}})
    ["pyproject.toml has version '0.2.0', and the package '0.1.0'"]
    """
    stated = pyproject["project"].get("version")
    if stated is None:
        path = pyproject.get("tool", {}).get("hatch", {}).get("version", {}).get("path")
        wanted = f"{PACKAGE}/__init__.py"
        return [] if path == wanted else [f"pyproject.toml reads the version from {path!r}, not from {wanted!r}"]
    return [] if stated == version else [f"pyproject.toml has version {stated!r}, and the package {version!r}"]


def check_changelog(version: str, changelog: str, waiting: int, *, is_final: bool) -> list[str]:
    r"""Return what is wrong with the newest version of the changelog.

    Args:
        version: the package's.
        changelog: its text.
        waiting: how many fragments are not in it yet.
        is_final: this is the release's own commit.

    >>> check_changelog("0.2.0", "## Unreleased\n## 0.1.0 - 2026-12-01", 1, is_final=False)
    []
    >>> check_changelog("0.1.0", "## Unreleased\n## 0.1.0 - 2026-12-01", 1, is_final=False)
    ['fragments wait, and version 0.1.0 is in the changelog already: raise __version__']
    >>> check_changelog("0.2.0", "## 0.1.0 - 2026-12-01", 0, is_final=True)
    ["the newest version in the changelog is '0.1.0', and the package is '0.2.0'"]
    """
    versions = _VERSION_HEADING.findall(changelog)
    newest = versions[0] if versions else ""
    if waiting and is_final:
        return [f"{waiting} fragments wait: run towncrier build --version {version}"]
    if waiting:
        is_released = version in versions
        return [f"fragments wait, and version {version} is in the changelog already: raise __version__"] * is_released
    if newest != version:
        return [f"the newest version in the changelog is {newest!r}, and the package is {version!r}"]
    return []


def check_fragment(path: Path, kinds: set[str]) -> list[str]:
    """Return what is wrong with the name or the text of a fragment."""
    name = _FRAGMENT.fullmatch(path.name)
    if name is None or name[1] not in kinds:
        return [f"{path.name}: name it <issue>.<kind>.md, where the kind is one of: {', '.join(sorted(kinds))}"]
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line]
    if not lines or not lines[0].startswith("- "):
        return [f"{path.name}: begin it with '- ', because it is a list of changes"]
    if any(not line.startswith(("- ", "  ")) for line in lines):
        return [f"{path.name}: begin each line with '- ', or with two blanks where it continues a change"]
    return []


def check_rendered_changelog(version: str) -> list[str]:
    """Return what towncrier says if it cannot render the fragments."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version]
    drafted = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    return [f"towncrier: {drafted.stderr.strip()}"] if drafted.returncode else []


def check_readme(text: str) -> list[str]:
    r"""Return what is wrong with the README as a package index renders it.

    >>> check_readme("# A title\n\nSome text.")
    []
    >>> check_readme("Some text.\n\n| a | b |\n|---|\n")
    ['README.md has no title', 'README.md: a table is not rendered as one: | a | b |']
    """
    html = markdown.render(text)
    if html is None:
        return ["README.md cannot be rendered"]
    problems = [] if "<h1" in html else ["README.md has no title"]
    raw_rows = re.findall(r"<p>(\|[^\n<]*)", html)
    return problems + [f"README.md: a table is not rendered as one: {row}" for row in raw_rows]


def check_distributions(version: str) -> list[str]:
    """Build wheel and sdist, and return what is wrong with them."""
    with tempfile.TemporaryDirectory(prefix="amplitude-segment-release-") as folder:
        wheel, sdist = build(Path(folder))
        command = [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)]
        checked = subprocess.run(command, check=False, capture_output=True, text=True)
    problems = [f"twine: {checked.stdout.strip()}"] if checked.returncode else []
    others = [path.name for path in (wheel, sdist) if f"-{version}" not in path.name]
    return problems + [f"{name} is not of version {version}" for name in others]


def find_problems(*, is_final: bool) -> list[str]:
    """Make all checks, and return what is wrong."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    settings = pyproject.get("tool", {}).get("towncrier")
    if settings is None:
        return ["pyproject.toml has no [tool.towncrier]"]
    version = package_version((ROOT / PACKAGE / "__init__.py").read_text())
    kinds = {kind["directory"] for kind in settings["type"]}
    ignored = set(settings.get("ignore", []))
    fragments = [path for path in sorted((ROOT / settings["directory"]).iterdir()) if path.name not in ignored]
    changelog = (ROOT / settings["filename"]).read_text()
    print(f"version {version}, {len(fragments)} fragments wait for it")
    return [
        *check_version(version, pyproject),
        *check_changelog(version, changelog, len(fragments), is_final=is_final),
        *(problem for path in fragments for problem in check_fragment(path, kinds)),
        *check_rendered_changelog(version),
        *check_readme((ROOT / "README.md").read_text()),
        *check_distributions(version),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Check the release; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Check that a release can be made.")
    parser.add_argument("--final", action="store_true", help="this is the release's own commit: no fragment may wait")
    problems = find_problems(is_final=parser.parse_args(arguments).final)
    for problem in problems:
        print(problem, file=sys.stderr)
    print("the release is not ready" if problems else "the release is ready: version, changelog, wheel, sdist, README")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
