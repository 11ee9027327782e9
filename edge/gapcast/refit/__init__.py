"""The nightly refit: trees fitted to the last weeks of a house's own minutes, in a separate process."""
