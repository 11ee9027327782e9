"""Interfaces that other packages implement for the service: the link to the broker, the nightly refit."""
