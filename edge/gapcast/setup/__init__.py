"""``gapcast setup``: creates a configuration from a few questions and the messages of the meters."""
