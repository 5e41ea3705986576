"""A package, so that its Airflows end with its last test and not with the last of all."""
