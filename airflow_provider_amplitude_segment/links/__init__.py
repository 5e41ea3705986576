"""Links from a task to its cohort in Amplitude and to its source in Segment."""
