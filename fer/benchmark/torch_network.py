"""The network of a bundle in torch, to be timed beside its file."""

from collections.abc import Callable

from fer.bundle.card import Card
from fer.core.errors import FerError


def torch_network(
    card: Card, batch_size: int, threads: int, device: str = "cpu"
) -> Callable[[], object] | None:
    """Return a function that computes the network of a bundle in torch, in fp32 with random weights.

    It starts from floating-point images in the size of the network, so that, other than in the bundle's file,
    gray and resizing are not part of it.

    Args:
        card: Its training recipe names the network.
        batch_size: Images in a call.
        threads: CPU threads.
        device: Device of the bundle. Torch uses the GPU for ``cuda``, else the CPU.

    Returns:
        None if the card has no recipe: a foreign file, or an ensemble.

    Raises:
        FerError: Torch is not installed, or has no GPU for ``cuda``.
    """
    recipe, shape = card.training.get("recipe") or {}, card.training.get("manifest", {}).get("image_shape")
    if "model" not in recipe or shape is None or "members" in card.training:
        return None
    try:
        import torch

        from fer.models.config import AttentionConfig, ModelConfig
        from fer.models.factory import build_model
    except ModuleNotFoundError as error:
        raise FerError(
            "--torch: expected torch to be installed, but it is not. Install it with "
            "pip install 'fer-lightning[train]', or omit --torch."
        ) from error
    config = ModelConfig.from_dict(recipe["model"]).replace(pretrained=False, init_from=None)
    attention = AttentionConfig.from_dict(recipe["attention"])
    network = build_model(config, len(card.labels), shape[2], attention).eval()
    images = torch.rand(batch_size, shape[2], config.image_size, config.image_size)
    if device == "cuda":
        if not torch.cuda.is_available():
            raise FerError(
                "--torch: expected a GPU for torch as well with --device cuda, got a torch without one. "
                "Install torch for CUDA, or omit --torch."
            )
        network = network.cuda()

    @torch.inference_mode()
    def compute() -> object:
        torch.set_num_threads(threads)
        # As the bundle's answer: from images on the host to numbers on the host.
        return network(images.to(device="cuda")).cpu() if device == "cuda" else network(images)

    return compute
