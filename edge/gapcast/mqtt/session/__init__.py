"""Messages received and published over one connection after another."""
