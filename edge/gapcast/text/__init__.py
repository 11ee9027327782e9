"""External text: decodes JSON, makes text safe for a terminal, suggests time zones, finds versions and installers."""
