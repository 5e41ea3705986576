"""Shared by both hooks: from an Airflow connection to an endpoint and a session."""
