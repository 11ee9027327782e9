"""The configuration: reads gapcast.toml, environment and command line into checked settings."""
