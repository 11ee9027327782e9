"""Contains errors: runs each step so that others continue, and logs and counts what was raised or replaced."""
