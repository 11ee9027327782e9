"""The computation of one batch of outlooks, in numpy and in C."""
