"""The commands of ``gapcast-fleet``."""
