"""Tests of gapcast."""
