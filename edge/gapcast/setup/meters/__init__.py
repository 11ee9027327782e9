"""Meters: found in the messages, recognized, chosen."""
