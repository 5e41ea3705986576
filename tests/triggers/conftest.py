"""What only some Airflow lines have."""

from importlib.util import find_spec


def _is_missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        return True


_NEEDS = {
    # Airflow shares a poll between watchers from 3.3 on.
    "test_cohort_list_producer.py": "airflow.triggers.shared_stream",
    # The group `messaging`, which the environment of 3.3 has.
    "test_message_queue.py": "airflow.providers.common.messaging",
}
collect_ignore = [file for file, module in _NEEDS.items() if _is_missing(module)]
