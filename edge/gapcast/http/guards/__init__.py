"""What a request must pass: its host, address, token and size."""
