"""The routes of the REST API, one file for each subject, and what answers before the application is loaded."""
