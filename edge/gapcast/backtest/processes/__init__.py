"""Distributes the houses of a back-test over several processes."""
