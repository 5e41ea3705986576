"""Buttons of a task that lead to what it is about, in Amplitude and in Segment."""
