"""The names in a model file: of its inputs, and of the values that two models share."""

from __future__ import annotations

INPUT, HISTORY = "window", "history"
#: The signature of a file that begins after the body: its inputs are those of the model and the values of the body.
CONTINUATION = "after_body"
#: What the names of these values begin with: outputs of the model that computes them, inputs of a continuation.
BODY_PREFIX = "body_"
