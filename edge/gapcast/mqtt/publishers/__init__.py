"""What is published for each batch: forecasts, outlooks, demands."""
