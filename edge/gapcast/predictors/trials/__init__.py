"""Trials of models in a child process."""
