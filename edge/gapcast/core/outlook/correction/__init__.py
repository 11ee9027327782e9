"""Corrections of outlooks: learned from a device's outcomes, and reconciled between lead times."""
