"""systemd: told how the service fares, and the unit that it is run by."""
