"""The service: the loop that takes readings through the engine, and its parts."""
