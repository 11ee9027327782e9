"""Documents of demands and of headroom."""
