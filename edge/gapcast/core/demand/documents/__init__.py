"""JSON documents of demands, of headrooms and of their scores."""
