"""Series of minutes, and what a file had in it."""
