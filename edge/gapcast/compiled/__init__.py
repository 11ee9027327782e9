"""The compiled steps: a small C library for what runs once per reading, with numpy as the reference and fallback."""
