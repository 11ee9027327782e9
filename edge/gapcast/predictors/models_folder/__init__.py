"""Folders of models: their registry, and files and cards that are checked before a model is loaded."""
