"""Airflow 3's web pages as a user meets them: what is seen by its label, and pressed by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

_TOAST = "[data-scope='toast'][data-part='root']"


@dataclass(frozen=True)
class SeenField:
    """A field of a form: what stands beside it, and what kind it is.

    Attributes:
        label: its name.
        kind: the input's ``type``, or ``choice``.
        hint: the placeholder, or the help under it.
    """

    label: str
    kind: str
    hint: str


@dataclass(frozen=True)
class Typed:
    """What somebody fills into a connection's form, by label; a choice by the text that is shown."""

    conn_id: str
    conn_type: str
    texts: dict[str, str]
    extras: dict[str, str] = field(default_factory=dict)


class AirflowUi:
    """One browser window on one Airflow; ``folder`` is where its pictures go."""

    def __init__(self, page: Page, url: str, folder: Path) -> None:
        self.page = page
        self._url = url
        self._folder = folder

    def open(self, path: str) -> None:
        """Open a page, and wait until it has loaded what it shows."""
        self.page.goto(f"{self._url}{path}")
        self.page.wait_for_load_state("networkidle")

    def picture(self, name: str, of: Locator | None = None) -> None:
        """Write a picture of the window, or of a part of it."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(500)
        (of or self.page).screenshot(path=self._folder / f"{name}.png", animations="disabled")
