"""Simulated loads that are added to windows of real houses in training, so that models learn how loads cycle."""
