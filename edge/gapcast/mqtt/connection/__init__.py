"""One connection to the broker: transport, TLS, subscriptions, confirmations, reconnection."""
