"""Parts that families share: their interface, and layers of their graphs."""
