"""Creates engines with the loaded models, and a new one when the models change."""
