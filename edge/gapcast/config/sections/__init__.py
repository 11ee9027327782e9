"""Sections of gapcast.toml, one file each."""
