"""From Amplitude's list of cohorts to an export's file on the worker's disk."""
