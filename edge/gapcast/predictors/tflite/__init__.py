"""TFLite files as predictors."""
