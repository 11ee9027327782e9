"""The interface of a model that the engine calls, and the model card (card.json)."""
