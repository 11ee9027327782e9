"""``gapcast status``: the status of a running service in a terminal."""
