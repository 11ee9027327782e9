"""Documents of outlooks."""
