"""The models in use, chosen and loaded."""
