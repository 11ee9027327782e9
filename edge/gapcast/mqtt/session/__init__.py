"""The MQTT session: receives, publishes and acknowledges messages, across reconnections."""
