"""The data report: what a clean file holds, in numbers, pictures and a few sentences, on one page."""
