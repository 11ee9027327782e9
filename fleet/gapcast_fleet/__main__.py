"""``python -m gapcast_fleet``."""

from gapcast_fleet.cli import main

main()
