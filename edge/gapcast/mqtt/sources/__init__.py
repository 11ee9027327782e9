"""Messages of configured meters: decoded, and combined into minutes."""
