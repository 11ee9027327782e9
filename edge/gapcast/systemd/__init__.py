"""systemd integration: notifications, and the unit file."""
