"""Headroom: the power that may be added without exceeding the limit or the fuse."""
