"""``gapcast check``: what is wrong, in plain words and with its cure, before anyone waits for a forecast."""
