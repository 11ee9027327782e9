"""Excludes the fuzzer's own process, which needs atheris: the test environment does not have it."""

collect_ignore = ["under_atheris.py"]
