"""``gapcast status``: a running service at a glance, in a terminal."""
