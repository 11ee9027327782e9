"""``python -m edge`` is ``gapcast``."""

from edge.cli import main

main(prog_name="gapcast")
