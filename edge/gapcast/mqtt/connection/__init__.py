"""The connection to the broker: transport, subscriptions, confirmations, reconnection."""
