"""Exported models ("bundles"): card, files, registry, and ONNX inference. No torch."""
