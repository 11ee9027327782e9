"""TFLite models and baselines, the model library, and the installation of models."""
