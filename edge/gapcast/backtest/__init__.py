"""``gapcast backtest``: runs the service's engine over files at full speed and reports its scores."""
