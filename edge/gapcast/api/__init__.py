"""Requests and answers, shared by REST and MQTT."""
