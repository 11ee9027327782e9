"""The adapter between the broker and the service: frames, session, topics and payloads."""
