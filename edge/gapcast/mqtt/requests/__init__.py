"""Requests and commands, and registers of meters."""
