"""Reproduces the study that the project started from, and repeats it with a chronological split.

``shuffled`` cuts the study's windows, ``networks`` has its two models and ``fitting`` trains them.
``original``, ``ordered``, ``line``, ``streaming``, ``padding`` and ``choice`` are its parts, each a
function from :class:`~gapcast_trainer.study.household.Household` and
:class:`~gapcast_trainer.study.settings.StudySettings` to a result for JSON.
``run`` computes missing results; ``tables`` and ``pictures`` present results without training.
"""
