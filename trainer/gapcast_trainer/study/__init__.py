"""The study that the project started from, done again, and what it would have found in order of time.

``shuffled`` cuts the study's windows, ``networks`` holds its two models and ``fitting`` trains them.
``original``, ``ordered``, ``line``, ``streaming``, ``padding`` and ``choice`` are its parts, each a
function from :class:`~gapcast_trainer.study.household.Household` and
:class:`~gapcast_trainer.study.settings.StudySettings` to a result that fits in JSON.
``run`` makes the missing results; ``tables`` and ``pictures`` show results without training.
"""
