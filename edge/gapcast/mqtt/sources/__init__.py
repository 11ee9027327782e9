"""Messages of configured meters ([[sources]]): decoded, and aggregated to minutes."""
