"""The fuzzer's own process needs atheris, which the environment of the tests has not: pytest does not import it."""

collect_ignore = ["under_atheris.py"]
