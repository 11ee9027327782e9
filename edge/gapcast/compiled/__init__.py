"""The compiled steps: a small C library for per-reading computations, with numpy as the reference and fallback."""
