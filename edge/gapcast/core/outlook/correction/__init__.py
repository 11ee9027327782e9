"""Corrections of outlooks: learned from a device's outcomes, and consistent between lead times."""
