"""The command ``prepare``: training sets of many houses."""
