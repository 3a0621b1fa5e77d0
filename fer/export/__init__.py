"""Export a checkpoint to a bundle: ONNX graph, parity check, quantisation, model card."""
