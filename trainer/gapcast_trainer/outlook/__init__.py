"""The outlook model: features of a week's history, its graph around the frozen body, and its training."""
