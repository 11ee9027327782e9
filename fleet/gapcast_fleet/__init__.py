"""The edge's engine on Apache Spark, for many more meters than one gateway handles. Adds no forecasting of its own.

``scoring`` forecasts a stream, by ``buckets`` of devices, between the sources and sinks of ``connectors``. ``backtest``
and ``training_sets`` read the ``histories`` of houses. ``engine`` contains what Spark's workers share.
"""
