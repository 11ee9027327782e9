"""Many more meters than one gateway has: the engine of the edge on Apache Spark. Adds no forecasting of its own."""
