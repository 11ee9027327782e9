"""gapcast as a library: one house in your own program, without MQTT or HTTP."""
