"""The engine in use with the lock on its state, and its replacement while the service runs."""
