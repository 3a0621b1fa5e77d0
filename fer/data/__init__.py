"""Readers, cache, splits and augmentation: from files to batches of faces."""
