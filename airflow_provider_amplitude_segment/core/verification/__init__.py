"""Prove what Segment has: compare the ledger with what Segment counts and with what it has of single users."""
