"""What Segment's Public API and Profile API say: of sources, of what was received, and of single users."""
