"""Explain a prediction by a saliency map over the face: attention or occlusion. No gradients, no torch."""
