"""The commands of ``python -m airflow_provider_amplitude_segment``, one module each.

Each module has ``add_parser``, which describes its arguments, and ``run``, which returns the exit status.
"""
