"""State files and folders: locks, damaged files, and the reason why readings are not persisted."""
