"""``gapcast check``: reports problems of an installation, each with its fix."""
