"""What this process may use of the machine: memory and processors."""
