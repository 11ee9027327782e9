"""Synthetic American households: per-minute power of simulated appliances, for training and design.

The real houses that gapcast's models learn from are European: none has central air conditioning, an electric vehicle or
photovoltaics. These modules simulate such houses from simple physical models and typical rated powers. Scores on them
show whether a model handles a kind of load; they are never scores of real houses.
"""
