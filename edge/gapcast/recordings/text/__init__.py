"""Text files of readings, read in blocks: columns, numbers and times."""
