"""State of devices in arrays: one row per device."""
