"""``gapcast setup``: a few questions, a look at what meters send, and a configuration that reads it."""
