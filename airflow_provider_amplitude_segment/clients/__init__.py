"""Clients of Amplitude, of Segment and of the place where ledgers are kept; no Airflow."""
