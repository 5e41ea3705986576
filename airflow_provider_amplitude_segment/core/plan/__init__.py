"""From a membership and a state to the changes that will be sent."""
