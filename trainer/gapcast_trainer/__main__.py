"""``python -m gapcast_trainer`` is ``gapcast-trainer``."""

from gapcast_trainer.cli import main

main(prog_name="gapcast-trainer")
