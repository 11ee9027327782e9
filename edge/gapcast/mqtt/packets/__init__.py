"""Packets of MQTT: encoded, split and decoded, in Python and in C."""
