"""A forecast that is asked for: one request and one answer, whether they come over REST or over MQTT."""
