"""The data report: statistics, plots and findings of a clean file on one HTML page."""
