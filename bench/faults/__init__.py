"""Fault injection: kills, restarts, freezes, network cuts and floods, with the outcome of each."""
