"""Checks of the whole configuration, after its sections: unknown keys, topics that overlap or are shared."""
