"""Routes: one file for each subject."""
