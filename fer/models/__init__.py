"""Networks: backbones, attention, pooling, and the classifier built from them. nn.Modules only."""
