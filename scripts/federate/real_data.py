"""Options that name data and nets of real training, and what they name; nothing of torch loads with the options."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from edgelearn_env.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from edgelearn_env.federated.networks import Net
    from edgelearn_env.federated.samples import FederatedSamples

Data = Annotated[
    str,
    typer.Option(help="Presidents' addresses with a far, default or near gap of general data, or glyphs and digits."),
]
General = Annotated[
    Path | None, typer.Option(help="The server's own data instead: a text file, or .npz of images and labels.")
]
Device = Annotated[
    list[Path] | None, typer.Option("--device", help="A device's own data, of the same kind; repeatable.")
]
Depth = Annotated[int, typer.Option(min=1, help="Blocks of the net.")]
Width = Annotated[int, typer.Option(min=4, help="Of its blocks, a multiple of 4.")]
Tokens = Annotated[int, typer.Option(min=2, help="Characters that it sees at once.")]
Samples = Annotated[int | None, typer.Option(min=3, help="Training samples of each device, at most; all if left out.")]


def chosen_data(
    name: str, general: Path | None, devices: list[Path] | None, tokens: int, num_devices: int, most: int | None
) -> "FederatedSamples":
    """The data that the options name, for so many devices, evenly chosen from those that there are.

    Raises:
        InvalidInputError: there are fewer devices, or files that do not fit.
    """
    samples = _all_data(name, general, devices, tokens)
    if samples.num_devices < num_devices:
        raise InvalidInputError(f"data must be of at least {num_devices} devices, got {samples.num_devices}")
    chosen = np.linspace(0, samples.num_devices - 1, num_devices).astype(int)
    return samples.chosen(chosen.tolist(), most)


def chosen_net(samples: "FederatedSamples", depth: int, width: int) -> "Net":
    """A net of four heads for such samples."""
    from edgelearn_env.federated.networks import Net

    if width % 4:
        raise InvalidInputError(f"--width must be a multiple of 4, got {width}")
    inputs, targets = samples.general
    if inputs.ndim == 3:
        classes = 1 + max(int(each.train.targets.max()) for each in samples.devices)
        return Net(depth=depth, width=width, tokens=inputs.shape[1], outputs=classes, patch=inputs.shape[2])
    return Net(depth=depth, width=width, tokens=targets.shape[1])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread: such small nets gain nothing from more, and sums stay the same to the last bit.

    Raises:
        MissingExtraError: torch is missing.
    """
    try:
        from edgelearn_env.agents.runs.torch_threads import torch_threads
    except ImportError as error:
        raise MissingExtraError("real training needs torch: pip install 'edgelearn-env[federated]'") from error
    with torch_threads(1):
        yield


def _all_data(name: str, general: Path | None, devices: list[Path] | None, tokens: int) -> "FederatedSamples":
    from edgelearn_env.federated.images import own_images
    from edgelearn_env.federated.text import addresses, own_text

    if (general is None) != (not devices):
        raise InvalidInputError("--general and --device belong together: give both or neither")
    if general is not None and devices:
        return own_images(general, devices) if general.suffix == ".npz" else own_text(general, devices, tokens)
    if name == "glyphs":
        from edgelearn_env.federated.glyphs import glyphs_and_digits

        return glyphs_and_digits()
    return addresses(name, tokens)
