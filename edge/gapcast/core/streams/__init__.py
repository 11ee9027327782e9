"""The stream of readings of each device: which are accepted, and the windows and histories built from them."""
