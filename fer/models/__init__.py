"""Networks: backbones, attention, pooling, and the classifier built from them. nn.Modules only."""

from fer.models.classifier import EmotionClassifier
from fer.models.factory import build_model, count_parameters

__all__ = ["EmotionClassifier", "build_model", "count_parameters"]
