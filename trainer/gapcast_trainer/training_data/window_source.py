"""The windows on which a model is trained or validated, wherever they are stored, and their batches."""

from __future__ import annotations

from typing import TypeAlias

from gapcast_trainer.data.windows import Examples
from gapcast_trainer.training_data.batches import Batches, BatchOptions
from gapcast_trainer.training_data.house_mix import HouseMix, MixedBatches
from gapcast_trainer.training_data.streamed_batches import StreamedBatches
from gapcast_trainer.training_data.training_set import TrainingSetPart

#: Windows of one part of the split: of one house in memory, of a training set on disk, or of several mixed houses.
WindowSource: TypeAlias = Examples | TrainingSetPart | HouseMix


def batches_of(source: WindowSource, options: BatchOptions) -> Batches | StreamedBatches | MixedBatches:
    """Return the windows of ``source`` in batches."""
    if isinstance(source, HouseMix):
        return MixedBatches(source, options)
    if isinstance(source, TrainingSetPart):
        return StreamedBatches(source, options)
    return Batches(source, options)
