"""Report what a sync did: counts, log lines, progress."""
