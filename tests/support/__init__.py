"""Tools for several tests: brokers, ports, waiting, and the rules for tests that may be left out."""
