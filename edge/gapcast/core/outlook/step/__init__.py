"""One batch of outlooks, in numpy and in C."""
