"""From a trained run and a set of images to predictions; models and data are loaded here alone."""

from fer.scoring.ensemble import ensemble
from fer.scoring.inference import TTA
from fer.scoring.runs import TrainedRun, load_run
from fer.scoring.scene import Scene
from fer.scoring.score import Scored, score
from fer.scoring.source import KINDS, data_options
from fer.scoring.subject import SPLITS, Subject, choose, read_data
from fer.scoring.trace import Provenance, trace

__all__ = [
    "KINDS",
    "SPLITS",
    "TTA",
    "Provenance",
    "Scene",
    "Scored",
    "Subject",
    "TrainedRun",
    "choose",
    "data_options",
    "ensemble",
    "load_run",
    "read_data",
    "score",
    "trace",
]
