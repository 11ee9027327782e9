"""The commands of ``gapcast-trainer``, one file a concern."""
