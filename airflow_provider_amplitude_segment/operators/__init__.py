"""Operators that read no cohort."""
