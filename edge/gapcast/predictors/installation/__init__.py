"""Models from folders, archives and files, installed and removed."""
