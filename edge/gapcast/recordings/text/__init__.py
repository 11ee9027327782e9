"""Text files of readings: columns, numbers and times."""
