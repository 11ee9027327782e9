"""State files and folders: locks, damaged files, and advice on disk errors."""
