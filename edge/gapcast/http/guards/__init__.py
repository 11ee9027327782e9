"""Checks of a request before its route: host, client address, token, origin of changes, size of the body."""
