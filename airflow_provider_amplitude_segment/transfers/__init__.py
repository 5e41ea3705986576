"""The sync operator."""
