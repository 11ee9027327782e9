"""``gapcast run`` and ``gapcast run --config FILE`` without the library of the command line.

A gateway does not need ``click``, which would take 1.3 MB for the life of the process, because it calls the whole
service.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gapcast.core.errors import GapcastError

#: Set by a shell that wants to complete a command.
_COMPLETION = "_GAPCAST_COMPLETE"


def serve_plainly(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Serve if ``arguments`` request a plain run of one shard; return whether they did.

    Exits like ``gapcast run`` if the configuration or the models are not usable.
    """
    if _COMPLETION in environment:
        return False
    match list(arguments):
        case ["run"]:
            config = None
        case ["run", "--config", name] if not name.startswith("-"):
            config = Path(name)
        case _:
            return False
    from gapcast.commands.run import serve
    from gapcast.config.loader import load
    from gapcast.config.shards import settings_by_shard

    try:
        settings, *others = settings_by_shard(load(config, environment, {}))
        if others:
            return False
        serve(settings)
    except GapcastError as error:
        print(f"gapcast: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    return True
