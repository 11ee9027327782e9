"""Publishers of what each batch gives: forecasts, outlooks, demands."""
