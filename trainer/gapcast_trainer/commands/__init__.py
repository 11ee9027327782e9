"""The commands of ``gapcast-trainer``."""
