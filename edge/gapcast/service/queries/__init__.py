"""Thread-safe queries about the running service, for REST, metrics and logs."""
