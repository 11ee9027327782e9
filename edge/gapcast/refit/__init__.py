"""The nightly refit: trees fitted to the last weeks of a house's own minutes, in a process of their own."""
