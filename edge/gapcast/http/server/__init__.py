"""The server thread, and limits that hold before a request is parsed."""
