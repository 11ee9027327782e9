"""The windows that a model is fitted to: of one house, of mixed houses, or of a training set on disk."""
