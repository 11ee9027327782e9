"""Attacks on a running gateway from outside: ``python -m bench.attacks``, see ``scripts/attack``."""
