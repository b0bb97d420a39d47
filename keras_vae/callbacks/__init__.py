"""Callbacks that show what a model learns while it trains, and that lose nothing of it."""

from keras_vae.callbacks.averages import AveragedWeights
from keras_vae.callbacks.backup import Backup
from keras_vae.callbacks.collapse import CollapseMonitor
from keras_vae.callbacks.guards import Interrupted, SkippedSteps, StopOnNonFinite, StopOnSignal
from keras_vae.callbacks.history import HistoryFile, read_history
from keras_vae.callbacks.pictures import Pictures

__all__ = [
    "AveragedWeights",
    "Backup",
    "CollapseMonitor",
    "HistoryFile",
    "Interrupted",
    "Pictures",
    "SkippedSteps",
    "StopOnNonFinite",
    "StopOnSignal",
    "read_history",
]
