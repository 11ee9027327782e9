"""The edge runtime: readings in, five-minute-ahead forecasts out."""
