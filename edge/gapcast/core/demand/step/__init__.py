"""The computation of one batch of demands, in numpy and in C: distributions, learning and scores."""
