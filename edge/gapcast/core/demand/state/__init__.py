"""State of demands by device: the newest demand, the learned state, and the columns in a checkpoint."""
