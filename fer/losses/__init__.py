"""Training losses, and class weights for imbalanced data."""

from fer.losses.class_weights import class_weights, effective_number_weights
from fer.losses.factory import build_loss
from fer.losses.loss import Loss

__all__ = ["Loss", "build_loss", "class_weights", "effective_number_weights"]
