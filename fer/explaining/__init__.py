"""Why a model of a bundle answers as it does: heat over a face, without gradients and without torch."""
