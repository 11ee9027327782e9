"""Requests and answers that REST and MQTT share: forecasts, devices, headroom, limit changes."""
