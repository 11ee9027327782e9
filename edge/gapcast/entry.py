"""The entry point of the command ``gapcast``."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper

from gapcast.commands.plain_run import serve_plainly
from gapcast.deferred_modules import defer_unused_modules


def main() -> None:
    """Run the command; what it may not need is loaded at first use."""
    try:
        defer_unused_modules()  # before others that import these are imported
        if not serve_plainly(sys.argv[1:]):
            from gapcast.cli import main as run_command  # noqa: PLC0415 - with the library of the command line

            if isinstance(sys.stdout, TextIOWrapper):  # a topic or a dash may not be in a terminal's ISO-8859-1
                sys.stdout.reconfigure(errors="replace")
            run_command(prog_name="gapcast")
    except KeyboardInterrupt:  # while modules are loaded, or before the service handles signals; as click does
        print("\nAborted!", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # what commands write to files, they report by name
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "the output"
        print(f"gapcast: cannot write {place} ({error.strerror}): free disk space", file=sys.stderr)
        sys.exit(1)
