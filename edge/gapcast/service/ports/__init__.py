"""Interfaces of what the service uses: the link to the broker, the refit."""
