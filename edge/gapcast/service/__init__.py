"""The service: the loop that passes readings through the engine, and its parts."""
