"""Networks with random weights whose outputs vary over images, as those of trained ones do."""

import numpy as np
import torch

from fer.data.synthetic import read_synthetic
from fer.models.factory import build_model


def random_network(
    name, image_size=32, image_channels=1, num_classes=7, attention="none", spread=2.0, **config
):
    """Build a classifier in evaluation mode with fitted batch norms; its logits deviate by ``spread``."""
    torch.manual_seed(0)
    settings = {"name": name, "image_size": image_size, **config}
    model = build_model(settings, num_classes, image_channels, attention)
    synthetic = read_synthetic(32, 0, 0, image_size, image_channels == 3, seed=1, num_workers=1).images
    images = torch.from_numpy(np.asarray(synthetic)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.momentum = None  # cumulative average: the statistics of these images only
        model.train()
        model(images)
        model.eval()
        logits = model(images)
        model.head.weight.mul_(spread / logits.std(0).mean())
        model.head.bias.sub_(model(images).mean(0))
    return model
