"""The readings of each device: accepted one by one, and held as windows, history and week."""
