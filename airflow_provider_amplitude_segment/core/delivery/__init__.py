"""From a plan to Segment's acknowledgments."""
