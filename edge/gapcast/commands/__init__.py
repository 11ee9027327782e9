"""The sub-commands of ``gapcast``, one file each."""
