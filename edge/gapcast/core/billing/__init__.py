"""Billing windows: their times, limits and peaks, and the running window of each device."""
