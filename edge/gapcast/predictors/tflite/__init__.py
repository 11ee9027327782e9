"""Predictors of TFLite files: the runtime, and interpreters for several batch sizes."""
