"""Loads and self-tests untrusted models in a child process before the service loads them."""
