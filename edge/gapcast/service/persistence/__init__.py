"""What is persisted before a batch is acknowledged."""
