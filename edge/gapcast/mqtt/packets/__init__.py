"""MQTT packets: PUBLISH and PUBACK encoded, split and decoded without paho, in Python and in C."""
