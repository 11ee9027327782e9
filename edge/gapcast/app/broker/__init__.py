"""Creates the MQTT adapter from the settings: session options, topics, sources, and the link of the service."""
