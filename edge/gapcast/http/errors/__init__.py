"""Responses to errors: problem documents (RFC 9457), and the layer that sends one whatever a handler raises."""
