"""Offline half of gapcast: from a household's raw minutes to a shipped, checked model.

Imports :mod:`gapcast.core` for the window contract and the card, and :mod:`gapcast.predictors` to score
through the shipped code; nothing else of the edge.
"""
