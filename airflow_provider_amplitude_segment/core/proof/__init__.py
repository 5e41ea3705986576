"""Prove the write keys of a sync by Segment's Public API, before anything is spent or sent."""
