"""Readers of published data sets, one file a set: raw bytes to :class:`~trainer.datasets.table.Table`."""
