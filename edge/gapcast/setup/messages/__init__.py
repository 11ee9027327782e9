"""Messages of meters, recorded and shown."""
