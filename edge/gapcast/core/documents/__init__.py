"""Declarations of the fields of JSON documents, and error messages about fields of files and requests."""
