"""``gapcast demo``: a broker, a meter, the service and an MQTT client in one process."""
