"""Arrays with one row per device: growth, row indices, and named columns that are checked when restored."""
