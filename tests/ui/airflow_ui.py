"""Airflow 3's pages as a user meets them: what is seen by its label, and pressed by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

# Of a form: each label that is seen, the kind of what stands beside it, its placeholder, and all text around it.
_FIELDS = """
form => [...form.querySelectorAll('label')].filter(label => label.offsetParent && label.innerText).flatMap(label => {
  const around = label.closest('[role=group]');
  if (!around) return [];
  const input = around.querySelector('input:not([type=hidden]), textarea');
  const kind = around.querySelector('[role=combobox]') ? 'choice' : input ? input.type : 'none';
  return [[label.innerText, kind, input ? input.placeholder : '', around.innerText]];
})
"""


@dataclass(frozen=True)
class SeenField:
    """A field of a form as it is seen.

    Attributes:
        kind: the input's ``type``, or ``choice``.
        placeholder: what stands in it before anything is typed.
        text: label, what is chosen, and the help under it.
    """

    kind: str
    placeholder: str
    text: str


class AirflowUi:
    """One browser window on one Airflow."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self._url = url
        self._pictures = pictures

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def open(self, path: str) -> None:
        """Open a page, and wait until it has loaded what it shows."""
        self.page.goto(f"{self._url}{path}")
        self.page.wait_for_load_state("networkidle")

    def resize(self, height: int) -> None:
        """Make the window so high; it is 1280 wide."""
        self.page.set_viewport_size({"width": 1280, "height": height})

    def picture(self, name: str, height: int) -> None:
        """Write a picture of the window for the documents, 1280 wide."""
        self.resize(height)
        if self.dialog.count():
            self.dialog.evaluate("dialog => dialog.parentElement.scrollTo(0, 0)")
        # What moves has come to rest by then.
        self.page.wait_for_timeout(800)
        self.page.screenshot(path=self._pictures / f"{name}.png")

    def press(self, name: str, within: Locator | None = None) -> None:
        """Press a button, with the keyboard: hints that come up under a pointer would lie over it."""
        (within or self.page).get_by_role("button", name=name, exact=True).first.press("Enter")

    def fields(self) -> dict[str, SeenField]:
        """Return the fields of the dialog by their labels, without the star of those that must be filled in."""
        return {
            label.partition("\n")[0]: SeenField(kind, placeholder, text)
            for label, kind, placeholder, text in self.dialog.evaluate(_FIELDS)
        }

    def unfold(self, section: str) -> None:
        """Open a section of the dialog, which folds the other ones."""
        self.press(section, self.dialog)
        self.page.wait_for_timeout(600)

    def begin_connection(self, conn_id: str, conn_type: str) -> None:
        """Open the form of a new connection, and choose its type."""
        self.open("/connections")
        self.press("Add Connection")
        self.dialog.locator("input[name=connection_id]").fill(conn_id)
        self.dialog.get_by_role("combobox").first.click()
        self.page.keyboard.type(conn_type)
        self.page.get_by_role("option", name=conn_type, exact=True).click()
        self.page.wait_for_timeout(600)

    def fill(self, **standard: str) -> None:
        """Fill in fields that every connection has, by the connection's own names."""
        for name, value in standard.items():
            self.dialog.locator(f"input[name={name}]").fill(value)

    def fill_param(self, name: str, value: str) -> None:
        """Fill in a field that a provider or a DAG has declared, by its name there."""
        self.dialog.locator(f"#element_{name}").fill(value)

    def choose(self, name: str, option: str) -> None:
        """Choose from a list that a provider or a DAG has declared."""
        self.dialog.locator(f"#element_{name}").click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def save(self) -> None:
        """Press Save, and wait until it is saved."""
        self.press("Save", self.dialog)
        self.dialog.wait_for(state="hidden")

    def test_connection(self, conn_id: str) -> str:
        """Press Test beside a connection, and return what the message says."""
        self.open("/connections")
        self.press("Test Connection", self.page.get_by_role("row").filter(has_text=conn_id))
        message = self.page.get_by_role("status").filter(has_text="Test Connection").last
        message.wait_for()
        return message.inner_text()

    def trigger(self) -> str:
        """Press Trigger in the dialog, and return the path of the run that Airflow goes to."""
        self.dialog.get_by_test_id("trigger-dag-submit").press("Enter")
        self.page.wait_for_url(re.compile(r"/runs/"))
        return self.page.url.removeprefix(self._url).partition("?")[0]

    def links(self) -> dict[str, str]:
        """Return the task's buttons that lead outside: address by name."""
        found = self.page.get_by_role("link").filter(has_text=re.compile(r"^(Cohort|Debugger) in "))
        return {link.inner_text(): str(link.get_attribute("href")) for link in found.all()}
