"""Experiments, which define models: their sections and keys, and those of the shipped models as TOML."""
