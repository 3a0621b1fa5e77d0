"""Calibrate a bundle on images of one's own: temperature, threshold and class priors. No torch."""
