"""Publishers of each batch's results: forecasts, outlooks, demands."""
