"""Readers of published data sets, one module per set: raw bytes to :class:`~gapcast_trainer.datasets.table.Table`."""
