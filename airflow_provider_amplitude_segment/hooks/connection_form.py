"""The connection forms for Airflow before 3.2, of the fields that ``get_provider_info`` declares."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_provider_amplitude_segment.get_provider_info import connection_type


def form_widgets(name: str) -> dict[str, Any]:
    """Return the form's extra fields as Airflow 2.11 takes them, by their names in Extra.

    :param name: the connection type
    """
    # Airflow 3 makes its form of the metadata, and has none of these modules.
    wtforms = import_module("wtforms")
    text_widget = import_module("flask_appbuilder.fieldwidgets").BS3TextFieldWidget
    translated = import_module("flask_babel").lazy_gettext
    widgets: dict[str, Any] = {}
    for field, form in connection_type(name)["conn-fields"].items():
        # Airflow 2.11 drops a form with any other kind of field, a choice too.
        kind = wtforms.IntegerField if "integer" in form["schema"]["type"] else wtforms.StringField
        widgets[field] = kind(
            translated(form["label"]),
            widget=text_widget(),
            validators=[wtforms.validators.Optional()],
            description=form.get("description", ""),
            default=form["schema"].get("default"),
        )
    return widgets


def form_behaviour(name: str) -> dict[str, Any]:
    """Return which of a connection's own fields the form hides, and what it calls the others.

    :param name: the connection type
    """
    behaviour = connection_type(name)["ui-field-behaviour"]
    return {key.replace("-", "_"): value for key, value in behaviour.items()}
