"""Pretraining: batches of mixed surveys, the loop, checkpoints."""

from spectok.training._data import Batches, Example, RealSpectra, TrainingBatch
from spectok.training._loop import Objective, fit

__all__ = ["Batches", "Example", "Objective", "RealSpectra", "TrainingBatch", "fit"]
