"""Readings and samples, the channels of submeters, and the limits of their values."""
