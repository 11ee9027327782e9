"""The online model: recursive least squares on a device's own outcomes."""
