"""Offline half of gapcast: from a household's raw minutes to a shipped, checked model.

Imports :mod:`edge.core` for the window contract and the card, and :mod:`edge.predictors` to score
through the shipped code; nothing else of the edge.
"""
