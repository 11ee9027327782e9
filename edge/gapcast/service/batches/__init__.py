"""Steps of a batch: the calls of the models, acknowledgement, statistics."""
