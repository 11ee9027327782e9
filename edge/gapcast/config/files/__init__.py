"""Files beside gapcast.toml: secrets, the state folder, the address of the service."""
