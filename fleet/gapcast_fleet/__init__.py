"""The edge's engine on Apache Spark, for many more meters than one gateway handles. Adds no forecasting of its own."""
