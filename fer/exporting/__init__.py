"""From a checkpoint to a bundle: the graph, the proof that it answers alike, the card."""
