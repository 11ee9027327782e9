"""The results of a back-test, joined from several processes, and printed."""
