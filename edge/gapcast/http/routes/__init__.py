"""The routes of the REST API, one file per subject, and the responses before the application is loaded."""
