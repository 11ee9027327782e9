"""Announced loads: planned power by device and minute."""
