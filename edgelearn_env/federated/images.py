"""Images as samples: patches of a picture, and its class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.samples import DeviceSamples, FederatedSamples, Samples

# Side of a patch, in pixels: 16 of them make an image of MNIST.
SIDE = 7


def patches(images: np.ndarray, labels: np.ndarray, side: int = SIDE) -> Samples:
    """Square patches of grey images, row by row.

    Args:
        images: from 0 to 1, (n, H, W), both multiples of `side`.
        labels: classes, (n,) whole numbers from 0 on.
        side: of a patch, in pixels.

    Raises:
        InvalidInputError: shapes that do not fit.
    """
    if images.ndim != 3 or images.shape[1] % side or images.shape[2] % side or len(labels) != len(images):
        raise InvalidInputError(
            f"images must be (n, H, W) with multiples of {side} and a label each, got {images.shape}, {labels.shape}"
        )
    count, rows, columns = len(images), images.shape[1] // side, images.shape[2] // side
    cut = images.reshape(count, rows, side, columns, side).transpose(0, 1, 3, 2, 4)
    return Samples(cut.reshape(count, rows * columns, side**2).astype(np.float32), labels.astype(np.int64))


def own_images(general: Path, devices: Sequence[Path], side: int = SIDE) -> FederatedSamples:
    """A user's own images: an .npz with `images` (n, H, W), 0 to 1 or 0 to 255, and `labels` (n,) for each site.

    Raises:
        InvalidInputError: a file is missing or holds something else.
    """
    split = [DeviceSamples.split(path.stem, _images_of(path, side)) for path in devices]
    if not split:
        raise InvalidInputError("devices must be at least one .npz file, got none")
    server = _images_of(general, side)
    end = server.num_samples - server.num_samples // 20
    return FederatedSamples(
        name=general.stem,
        general=server.taken(slice(0, end)),
        devices=tuple(split),
        general_test=server.taken(slice(end, None)),
    )


def _images_of(path: Path, side: int) -> Samples:
    try:
        with np.load(path) as arrays:
            images, labels = arrays["images"].astype(np.float64), arrays["labels"]
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInputError(f"image file {str(path)!r} must be an .npz with images and labels: {error}") from error
    return patches(images / 255 if images.max(initial=0) > 1 else images, labels, side)
