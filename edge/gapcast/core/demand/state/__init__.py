"""The newest demands, and the state that is stored."""
