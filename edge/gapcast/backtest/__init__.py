"""``gapcast backtest``: the service's own engine over files, at full speed, and the scores that it would have had."""
