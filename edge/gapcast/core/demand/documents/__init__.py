"""JSON documents of demands, headrooms and demand scores."""
