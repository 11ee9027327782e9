"""The HTTP server in a thread of its own, with limits that hold before a request is parsed."""
