"""The study that the project started from, done again, and what it would have found in order of time.

``shuffled`` cuts the study's windows, ``networks`` holds its two models and ``fitting`` trains them.
``original``, ``ordered``, ``line``, ``streaming``, ``padding`` and ``choice`` are its parts, each a
function from :class:`~gapcast_trainer.study.household.Household` and :class:`~gapcast_trainer.study.settings.Settings`
to a result that fits in JSON. ``run`` does those that are not there yet; ``tables`` and ``pictures``
show what is there, without training.
"""
