"""Carry Amplitude behavioral cohorts to Segment, on Apache Airflow."""

__version__ = "0.1.0"
