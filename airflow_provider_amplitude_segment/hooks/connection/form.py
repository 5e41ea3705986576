"""The connection forms for Airflow before 3.2, made from the fields that ``get_provider_info`` declares."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.get_provider_info import connection_type

if TYPE_CHECKING:
    from collections.abc import Mapping


def form_widgets(name: str) -> dict[str, Any]:
    """Return the form's extra fields as Airflow 2.11 takes them, by their names in Extra.

    :param name: the connection type
    """
    return {field: _form_field(form) for field, form in connection_type(name)["conn-fields"].items()}


def _form_field(form: Mapping[str, Any]) -> Any:
    # Airflow 3 makes its form from the metadata and has none of these modules.
    wtforms = import_module("wtforms")
    widgets = import_module("flask_appbuilder.fieldwidgets")
    translated = import_module("flask_babel").lazy_gettext
    schema = form["schema"]
    # Airflow 2.11 drops a form with any other kind of field than these two, passwords and flags.
    kind, widget = wtforms.StringField, widgets.BS3TextFieldWidget()
    if schema.get("format") == "password":
        kind, widget = wtforms.PasswordField, widgets.BS3PasswordFieldWidget()
    validators = [wtforms.validators.Optional()]
    if "integer" in schema["type"]:
        kind = wtforms.IntegerField
        validators.append(wtforms.validators.NumberRange(schema["minimum"], schema["maximum"]))
    if "enum" in schema:
        # Airflow 3.0 and 3.1 recognize a choice by this validator's name.
        validators.append(wtforms.validators.any_of(schema["enum"]))
    return kind(
        translated(form["label"]),
        widget=widget,
        validators=validators,
        description=form["description"],
        default=schema.get("default"),
    )


def form_behaviour(name: str) -> dict[str, Any]:
    """Return which of a connection's own fields the form hides, and the labels of the others.

    :param name: the connection type
    """
    behaviour = {key.replace("-", "_"): value for key, value in connection_type(name)["ui-field-behaviour"].items()}
    # Only the Test button of Airflow 3.3.2 needs it.
    behaviour["hidden_fields"] = [*behaviour["hidden_fields"], "port"]
    behaviour["placeholders"] = {key: text for key, text in behaviour["placeholders"].items() if key != "port"}
    return behaviour
