"""The online model of devices with submeters."""
