"""Experiments, which define models: their sections and keys, and the shipped models' experiments as TOML."""
