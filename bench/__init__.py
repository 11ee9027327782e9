"""Measures gapcast against a bare paho echo over the same broker; ``bench/run`` runs all measurements."""
