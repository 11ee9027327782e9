"""Checks of the whole configuration after its sections: unknown keys, overlapping or shared topics."""
