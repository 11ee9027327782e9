"""The stream of readings of each device: which readings are accepted, and the windows and histories built from them."""
