"""Exports training runs: the model file with its card, checked and scored."""
