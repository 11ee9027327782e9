"""Sources of readings and sinks of forecasts: files, Kafka and MQTT."""
