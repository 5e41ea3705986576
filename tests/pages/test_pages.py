"""The logic of the pages, by the test runner of Node.js; and what each page may not do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGES = HERE.parents[1] / "airflow_provider_amplitude_segment" / "ui" / "pages"
MODULES = sorted(PAGES.glob("*.js"))
IDS = [module.name for module in MODULES]

# What would let text of a cohort's name or of an error become a part of the page.
_TEXT_AS_PAGE = re.compile(
    r"innerHTML|outerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
)
_IMPORT = re.compile(r'^(?:import|export)\b[^;]*?from "([^"]+)"', re.MULTILINE)


def test_the_logic_of_the_pages_holds() -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed to test the pages"
    command = [node, "--test", *map(str, sorted(HERE.glob("*.test.mjs")))]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_a_page_makes_text_of_what_it_is_given(module: Path) -> None:
    assert not _TEXT_AS_PAGE.search(module.read_text())


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_a_page_imports_its_own_modules_only_and_is_short(module: Path) -> None:
    text = module.read_text()

    assert all((PAGES / name.removeprefix("./")).is_file() for name in _IMPORT.findall(text))
    assert all(name.startswith("./") for name in _IMPORT.findall(text))
    assert len(text.splitlines()) <= 300
