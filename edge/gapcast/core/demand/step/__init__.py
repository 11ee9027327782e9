"""One batch of demands, in numpy and in C."""
