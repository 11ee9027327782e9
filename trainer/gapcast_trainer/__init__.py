"""Offline half of gapcast: from a household's raw minutes to a shipped, checked model.

A model passes through these packages: ``data`` reads and splits the minutes of a house, ``experiments`` defines what is
trained, ``families`` builds its graph, ``training_data`` and ``training`` fit it, ``tflite`` and ``export`` write and
check its file, ``scores`` and ``evaluation`` score it, also against ``peers`` and in several ``houses``.

Imports :mod:`gapcast.core` for the window contract and the card, and :mod:`gapcast.predictors` to score
through the shipped code; nothing else of the edge.
"""
