"""The command ``score``: the stream of readings, and the run of its query."""
