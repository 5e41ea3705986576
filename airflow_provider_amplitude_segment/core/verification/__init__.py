"""Compare what the ledger says with what Segment has: counts of a source, and a sample of users."""
