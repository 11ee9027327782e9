"""State of demands by device: the newest demand, what was learned, and what a checkpoint stores."""
