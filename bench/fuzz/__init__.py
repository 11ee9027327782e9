"""The fuzzer: every target of ``tests/fuzz`` under atheris."""
