"""Schemas of response bodies, for the OpenAPI document."""
