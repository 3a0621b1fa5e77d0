"""Load trained runs and data sets, and score them."""

from fer.scoring.ensemble import ensemble
from fer.scoring.inference import TTA
from fer.scoring.runs import TrainedRun, load_run
from fer.scoring.scene import EvaluationData
from fer.scoring.score import ScoredRun, score
from fer.scoring.source import KINDS, data_options
from fer.scoring.subject import SPLITS, EvaluationSplit, read_data, select_split
from fer.scoring.trace import Provenance, find_provenance

__all__ = [
    "KINDS",
    "SPLITS",
    "TTA",
    "EvaluationData",
    "EvaluationSplit",
    "Provenance",
    "ScoredRun",
    "TrainedRun",
    "data_options",
    "ensemble",
    "find_provenance",
    "load_run",
    "read_data",
    "score",
    "select_split",
]
