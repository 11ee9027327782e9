"""What a device's own outcomes teach: scores, intervals that hold, an expert that learns, and the blend of them all."""
