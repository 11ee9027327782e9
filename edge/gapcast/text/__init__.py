"""Text from outside: JSON, terminals, names of time zones."""
