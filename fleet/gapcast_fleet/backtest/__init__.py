"""The command ``backtest``: thousands of houses, group by group."""
