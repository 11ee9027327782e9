"""``gapcast import``: runs the engine of a stopped gateway over past readings, so that learning starts warm."""
