"""Installs models from folders, archives and files, and removes them."""
