"""State files and folders: locks, damaged files, and advice on errors of the disk."""
