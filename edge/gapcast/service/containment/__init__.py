"""Errors of single steps: contained, logged and counted."""
