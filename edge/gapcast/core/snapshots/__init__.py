"""The engine's state as arrays: captured, checked, restored, and transferred to other models."""
