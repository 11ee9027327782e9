"""The entry point of the command ``gapcast``."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper

from gapcast.commands.plain_run import serve_plainly
from gapcast.deferred_modules import defer_unused_modules


def main() -> None:
    """Run the command; modules that it may not need are loaded at first use."""
    try:
        defer_unused_modules()  # before importing modules that import them
        if not serve_plainly(sys.argv[1:]):
            from gapcast.cli import main as run_command  # noqa: PLC0415 - with the library of the command line

            if isinstance(sys.stdout, TextIOWrapper):  # ISO-8859-1 of a terminal may lack a topic's characters
                sys.stdout.reconfigure(errors="replace")
            run_command(prog_name="gapcast")
    except KeyboardInterrupt:  # while modules load, or before the service handles signals; as in click
        print("\nAborted!", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # commands report errors of their own files, with the name
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "the output"
        print(f"gapcast: cannot write {place} ({error.strerror}): free disk space", file=sys.stderr)
        sys.exit(1)
