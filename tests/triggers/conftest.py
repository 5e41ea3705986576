"""What only some Airflow lines have."""

from importlib.util import find_spec

# Airflow shares a poll between watchers from 3.3 on.
collect_ignore = [] if find_spec("airflow.triggers.shared_stream") else ["test_cohort_list_producer.py"]
