"""The pure core: windows, buffers, forecasts. No I/O, no clock, no logging, no threads."""
