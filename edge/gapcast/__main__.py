"""``python -m gapcast`` is ``gapcast``."""

from gapcast.entry import main

main()
