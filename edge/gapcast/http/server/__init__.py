"""The HTTP server in its own thread, with limits that apply before a request is parsed."""
