"""Maintenance of ledgers by a person: list, roll back, erase."""
