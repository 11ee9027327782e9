"""Readers of published data sets, one file a set: raw bytes to :class:`~gapcast_trainer.datasets.table.Table`."""
