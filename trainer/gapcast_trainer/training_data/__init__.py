"""The windows to which a model is fitted: of one house, of mixed houses, or of a training set on disk."""
