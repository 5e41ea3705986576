"""Keeps pytest from importing what is installed for ``make bench`` only."""

collect_ignore_glob = ["chart.py", "subjects/*.py"]
