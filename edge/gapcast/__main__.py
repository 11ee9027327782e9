"""``python -m gapcast`` is ``gapcast``."""

from gapcast.cli import main

main(prog_name="gapcast")
