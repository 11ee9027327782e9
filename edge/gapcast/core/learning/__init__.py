"""Online learning per device: scores, calibrated intervals, an RLS model, and the ensemble of all models."""
