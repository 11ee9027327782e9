"""The results of a back-test, joined and printed."""
