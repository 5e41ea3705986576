"""Turn a membership and a state into the changes to send."""
