"""Chooses and loads the models, and gives each its role: primary model, ensemble member, outlook."""
