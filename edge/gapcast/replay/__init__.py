"""A file of readings, published as a live meter would."""
