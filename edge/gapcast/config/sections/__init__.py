"""The larger sections of gapcast.toml, one file each; the small ones are in settings.py."""
