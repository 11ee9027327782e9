"""``gapcast backtest --control``: what a car and a dishwasher cost, driven by rules, by gapcast and with hindsight."""
