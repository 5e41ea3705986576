# ruff: noqa: INP001 - Sphinx reads this file, and the folder is no package
"""Build the site with Sphinx: ``make docs``.

The pages are plain Markdown that reads on GitHub too, so this file adds what only a site has: the navigation, and the
API reference made of docstrings. Sphinx reads the repository's root, because pages link to files beside ``docs/``.
"""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_amplitude_segment"

project = "airflow-provider-amplitude-segment"
author = "The maintainers of airflow-provider-amplitude-segment"
version = release = installed_version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
# Sphinx does not look into these folders at all.
exclude_patterns = [".*", "airflow_provider_amplitude_segment", "dist", "tests"]

# GitHub's rule for the anchors of headings. A link that leads nowhere is a warning, and `make docs` fails on it.
myst_heading_anchors = 4
nitpicky = False

# Docstrings are of Google style in core and clients, and of :param: style in operators, hooks and triggers.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Several errors have these attributes", "Attributes")]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

# By page: caption of a group, and its pages in order. "*" stands for all other pages of the folder.
NAVIGATION = {
    root_doc: {
        "Start": ["docs/concepts"],
        "How-to": [
            "docs/how-to/first-sync",
            "docs/how-to/try-the-demo",
            "docs/how-to/schedule",
            "docs/how-to/several-destinations",
            "docs/how-to/many-cohorts",
            "docs/how-to/trigger-form",
            "docs/how-to/user-properties",
            "docs/how-to/see-syncs-in-airflow",
            "docs/how-to/let-a-stopped-sync-through",
            "docs/how-to/test-your-dag",
            "docs/how-to/go-to-production",
            "docs/how-to/*",
        ],
        "Reference": ["docs/reference/operators", "docs/reference/connections", "docs/reference/*"],
        "Explanation": ["docs/explanation/architecture", "docs/explanation/*", "docs/adr/README"],
        "Project": ["CONTRIBUTING", "SECURITY", "CHANGELOG"],
    },
    "docs/adr/README": {"": ["docs/adr/*"]},
}
API_PAGE = "docs/reference/api"
_MODULE_SECTION = re.compile(r"^## `([\w.]+)`$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def add_generated_parts(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add the navigation and the API reference to the pages that have them."""
    groups = NAVIGATION.get(page, {})
    source[0] += "".join(toctree(caption, pages) for caption, pages in groups.items())
    if page == API_PAGE:
        source[0] = _MODULE_SECTION.sub(lambda found: f"{found[0].rstrip()}\n{automodule(found[1])}\n", source[0])


def toctree(caption: str, pages: list[str]) -> str:
    """Return a hidden table of contents, which the sidebar shows."""
    options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "", "```{toctree}", *options, "", *(f"/{page}" for page in pages), "```", ""])


def automodule(module: str) -> str:
    """Return the directive that shows a public module's docstrings.

    >>> automodule("exceptions").splitlines()[2]
    '.. automodule:: airflow_provider_amplitude_segment.exceptions'
    """
    return "\n".join(["", "```{eval-rst}", f".. automodule:: {PACKAGE}.{module}", "   :members:", "```", ""])


def keep_indented_text(_app: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Make each indented block of a module's docstring literal, because it is a tree or an example."""
    if what != "module":
        return
    for index in reversed(range(1, len(lines))):
        above = next((line for line in reversed(lines[:index]) if line), "")
        if lines[index].startswith(" ") and not lines[index - 1] and not above.startswith(" "):
            lines[index:index] = ["::", ""]


def unlink_folders(app: Sphinx, doctree: nodes.document) -> None:
    """Show a link to a folder of the repository as text, because the site has no page of it."""
    page = Path(app.env.doc2path(app.env.docname))
    for link in list(doctree.findall(pending_xref)):
        if link["reftype"] == "myst" and (page.parent / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def write_front_page(app: Sphinx, error: Exception | None) -> None:
    """Make the root of the site lead to the start page."""
    if error is None:
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{project}</title>\n'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Sphinx) -> None:
    """Connect the functions above to Sphinx."""
    app.connect("source-read", add_generated_parts)
    app.connect("autodoc-process-docstring", keep_indented_text)
    app.connect("doctree-read", unlink_folders)
    app.connect("build-finished", write_front_page)
