"""Shared parts of the HTML reports, which are self-contained pages with embedded plots."""
