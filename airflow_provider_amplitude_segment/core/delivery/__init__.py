"""Deliver a plan to Segment."""
