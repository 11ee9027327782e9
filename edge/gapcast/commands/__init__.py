"""The sub-commands of ``gapcast`` that need more than a few lines, one file each; the others are in cli.py."""
