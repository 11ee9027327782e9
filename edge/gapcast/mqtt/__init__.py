"""Between the broker and the service: frames, session, topics and payloads."""
