"""JSON documents of outlooks and of their scores."""
