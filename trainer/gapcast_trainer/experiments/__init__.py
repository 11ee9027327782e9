"""What defines a model: an experiment's sections and keys, and the experiments of the shipped models as TOML."""
