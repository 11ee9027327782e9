"""Where the command ``gapcast`` begins."""

from __future__ import annotations

from gapcast.deferred_modules import defer_modules


def main() -> None:
    """Run the command; modules that it may not need are loaded at first use."""
    defer_modules()  # before the command line, which imports others that import these
    from gapcast.cli import main as run_command  # noqa: PLC0415

    run_command(prog_name="gapcast")
