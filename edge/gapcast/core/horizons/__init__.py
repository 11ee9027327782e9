"""One forecaster per horizon (models, ensemble, outlook, plans), and batches of devices with different horizons."""
