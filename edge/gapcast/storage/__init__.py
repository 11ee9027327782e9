"""What survives a restart: a journal of readings, and a checkpoint of the engine's state now and then."""
