"""The REST adapter: the HTTP server, guards, routes, and the household's web page."""
