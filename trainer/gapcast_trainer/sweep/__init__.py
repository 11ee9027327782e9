"""A search for better hyper-parameters: what is tried, the search itself, and its report."""
