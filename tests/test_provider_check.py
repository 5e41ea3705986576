"""The provider as a whole: metadata, forms, imports and examples, on whichever Airflow these tests run.

``test_provider_info.py`` holds what discovery costs and what each entry means; here is what must hold of all of them,
also of those that come later.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow
import jsonschema
import pytest
from airflow.serialization import serialized_objects
from fakes.tested_dag import parse_dag
from fakes.warm_python import WarmPython

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from collections.abc import Iterator

AIRFLOW_2 = version("apache-airflow").startswith("2.")
PACKAGE = airflow_provider_amplitude_segment.__name__
ROOT = Path(airflow_provider_amplitude_segment.__file__).parents[1]
EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))
CONNECTION_TYPES = get_provider_info()["connection-types"]

HAS_PAGES = importlib.util.find_spec("airflow.api_fastapi") is not None

MODULES = [PACKAGE] + [
    found.name
    for found in pkgutil.walk_packages(airflow_provider_amplitude_segment.__path__, f"{PACKAGE}.")
    # Importing a program runs nothing, but that is for it to promise.
    if not found.name.endswith("__main__")
    # The routes of the pages exist for Airflow's own API server, which came with Airflow 3.
    and (HAS_PAGES or not found.name.startswith(f"{PACKAGE}.ui.") or found.name == f"{PACKAGE}.ui.plugin")
]


def schema(name: str) -> dict[str, Any]:
    """Return one of the JSON schemas that the installed Airflow ships."""
    folder = Path(next(iter(airflow.__path__)))
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def texts(value: object) -> Iterator[str]:
    """Yield every text in nested lists and dictionaries, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def resolve(path: str) -> object:
    """Return what a dotted path names: a module, or something in one."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def test_the_metadata_keeps_to_both_of_airflows_schemas() -> None:
    """What Airflow reads at run time, and, of connections, what its own providers are written to."""
    info = get_provider_info()
    written = schema("provider.yaml.schema.json")

    jsonschema.validate(info, schema("provider_info.schema.json"))
    jsonschema.validate(info["connection-types"], {**written, **written["properties"]["connection-types"]})


def test_every_dotted_path_in_the_metadata_names_something() -> None:
    paths = [text for text in texts(get_provider_info()) if text.startswith(f"{PACKAGE}.")]

    assert len(paths) >= 6
    assert [path for path in paths if resolve(path) is None] == []


def test_every_module_with_something_for_a_dag_is_in_the_metadata() -> None:
    """Operators, hooks and triggers; Airflow finds links by their class, where there are any."""
    named = set(texts(get_provider_info()))
    bases = {"BaseOperator", "BaseHook", "BaseTrigger"}

    for name in MODULES:
        module = importlib.import_module(name)
        own = [
            item
            for item in vars(module).values()
            if isinstance(item, type) and item.__module__ == name and not item.__name__.startswith("_")
        ]
        if any(bases & {base.__name__ for base in item.__mro__} for item in own):
            assert name in named, name


@pytest.mark.parametrize("declared", CONNECTION_TYPES, ids=lambda declared: str(declared["connection-type"]))
def test_the_form_of_this_airflow_has_every_field_with_its_label_and_its_help(declared: dict[str, Any]) -> None:
    """Airflow 2 asks the hook's methods for it, Airflow 3 reads the metadata."""
    shown = (form_of_airflow_2 if AIRFLOW_2 else form_of_airflow_3)(declared)

    assert shown == {
        name: (field["label"], field.get("description", "")) for name, field in declared["conn-fields"].items()
    }


def form_of_airflow_2(declared: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Make the form of the hook's widgets."""
    wtforms = importlib.import_module("wtforms")
    hook: Any = resolve(declared["hook-class-name"])
    form = type("ConnectionForm", (wtforms.Form,), hook.get_connection_form_widgets())()
    return {field.name: (str(field.label.text), str(field.description)) for field in form}


def form_of_airflow_3(declared: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """As its API server hands it to the browser."""
    connections = importlib.import_module("airflow.api_fastapi.core_api.services.ui.connections")
    forms = {form.connection_type: form for form in connections.HookMetaService.hook_meta_data()}
    fields = forms[declared["connection-type"]].extra_fields
    return {name: (field["schema"]["title"], field["description"] or "") for name, field in fields.items()}


@pytest.mark.parametrize("declared", CONNECTION_TYPES, ids=lambda declared: str(declared["connection-type"]))
def test_the_hooks_form_methods_say_what_the_metadata_says(declared: dict[str, Any]) -> None:
    hook: Any = resolve(declared["hook-class-name"])
    behaviour = {key.replace("_", "-"): value for key, value in hook.get_ui_field_behaviour().items()}

    # The Test button of Airflow 3.3.2 needs a port, which 2.11 hides (docs/reference/connections.md).
    expected = copy.deepcopy(declared["ui-field-behaviour"])
    expected["hidden-fields"].append("port")
    assert expected["placeholders"].pop("port").startswith("443")
    assert behaviour == expected
    jsonschema.validate(hook.get_ui_field_behaviour(), schema("customized_form_field_behaviours.schema.json"))
    assert (hook.conn_type, hook.hook_name) == (declared["connection-type"], declared["hook-name"])


def test_ruffs_rules_for_airflow_are_on() -> None:
    """They know what Airflow 3 moved or took away; the linter is in the environment of Airflow 3 alone."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    left_out = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]
    assert lint["select"] == ["ALL"]
    assert [rule for rule in left_out if rule.startswith("AIR")] == []

    ruff = Path(sys.executable).with_name("ruff")
    assert ruff.exists() is not AIRFLOW_2
    if ruff.exists():
        outdated = "from airflow.utils.dates import days_ago\n\ndays_ago(1)\n"
        said = subprocess.run(  # noqa: S603 - the linter of this environment
            [ruff, "check", "--output-format=concise", f"--stdin-filename={ROOT / PACKAGE / 'outdated.py'}", "-"],
            input=outdated,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        ).stdout
        assert " AIR3" in said


# A warning belongs to the file that triggered it: the one that it points at, or, because Airflow's may point into
# Airflow, the nearest one on the stack that is not Airflow's. Airflow's providers do not count as Airflow.
_WATCH = """
import sys, traceback, warnings
from pathlib import Path
import airflow.providers.common.compat.sdk
from airflow.models.dagbag import DagBag

roots = tuple(sys.argv[1].split(":"))
airflows = str(Path(airflow.__path__[0])) + "/"

def is_ours(filename):
    return filename.startswith(roots)

def is_machinery(filename):
    return (
        filename.startswith(("<frozen", "<string>"))
        or filename.endswith(("/warnings.py", "/typing_extensions.py"))
        or "/importlib/" in filename
        or (filename.startswith(airflows) and "/airflow/providers/" not in filename)
    )

def show(message, category, filename, *_, **__):
    stack = [frame.filename for frame in traceback.extract_stack()[:-1]]
    nearest = next((name for name in reversed(stack) if not is_machinery(name)), "")
    if is_ours(filename) or is_ours(nearest):
        print("WARNED", category.__name__, filename, message)

warnings.showwarning = show
warnings.simplefilter("always")
"""


@functools.cache
def watching_python() -> WarmPython:
    """Return one that has imported what ``_WATCH`` does, and no more: a first import is what may warn."""
    return WarmPython("airflow.providers.common.compat.sdk", "airflow.models.dagbag")


def warnings_of(program: str, *arguments: str, ours: tuple[Path, ...]) -> list[str]:
    """Run a program in a process of its own, and return the warnings that files below ``ours`` trigger in it."""
    ended = watching_python().run("-c", _WATCH + program, ":".join(map(str, ours)), *arguments)
    assert (ended.returncode, "DONE" in ended.stdout) == (0, True), ended.stderr
    return [line for line in ended.stdout.splitlines() if line.startswith("WARNED")]


_IMPORT_ALL = """
import importlib
for name in sys.argv[2:]:
    importlib.import_module(name)
print("DONE")
"""

_PARSE_ALL = """
for file in sys.argv[2:]:
    bag = DagBag(file)
    assert bag.dags and not bag.import_errors, bag.import_errors
print("DONE")
"""


def test_no_module_warns_when_it_is_imported() -> None:
    assert len(MODULES) > 50
    assert warnings_of(_IMPORT_ALL, *MODULES, ours=(ROOT / PACKAGE,)) == []


def test_no_example_warns_when_it_is_parsed() -> None:
    """Nor does what it brings along of this package."""
    assert len(EXAMPLES) > 5
    assert warnings_of(_PARSE_ALL, *map(str, EXAMPLES), ours=(ROOT / PACKAGE, ROOT / "example_dags")) == []


def test_a_deprecated_import_would_be_seen(tmp_path: Path) -> None:
    """On either line, whether the warning points at the DAG file or into Airflow."""
    outdated = (
        "from airflow.utils.dates import days_ago\ndays_ago(1)"
        if AIRFLOW_2
        else "from airflow.hooks.base import BaseHook"
    )
    file = tmp_path / "outdated.py"
    file.write_text(
        f"import pendulum\nfrom airflow.providers.common.compat.sdk import DAG\n{outdated}\n"
        "with DAG('outdated', schedule=None, start_date=pendulum.datetime(2024, 1, 1)):\n    pass\n"
    )

    assert warnings_of(_PARSE_ALL, str(file), ours=(tmp_path,))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.stem))
def test_an_example_is_serialized_whole_with_its_documentation(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the scheduler and the UI get it; no connection is defined."""
    monkeypatch.delenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT", raising=False)
    dag = parse_dag(file)
    serialization = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)

    again = serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))

    assert {task.task_id: task.task_type for task in again.tasks} == {
        task.task_id: task.task_type for task in dag.tasks
    }
    first, *_ = again.doc_md.split("\n\n")
    assert again.doc_md == dag.doc_md
    assert len(again.doc_md) > 200
    assert first.strip().endswith(".")
    assert again.doc_md.count("**To change:**") == 1
    # What a reader of the page is to type stands in backticks; pairs of both are closed.
    assert again.doc_md.count("`") % 2 == again.doc_md.count("**") % 2 == 0
    for task in dag.tasks:
        documents = [getattr(task, name, None) for name in ("doc", "doc_md", "doc_rst", "doc_json", "doc_yaml")]
        assert all(document.strip() for document in documents if document is not None)
