"""Options that name data and nets of real training, and what they name."""

from pathlib import Path
from typing import Annotated

import typer

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.glyphs import glyphs_and_digits
from edgelearn_env.federated.images import own_images
from edgelearn_env.federated.networks import Net, Weights, initial_weights
from edgelearn_env.federated.pretraining import pretrained
from edgelearn_env.federated.samples import FederatedSamples
from edgelearn_env.federated.text import GAPS, addresses, own_text

_BEGUN_BATCH = 16

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

Begun = Annotated[
    int, typer.Option(min=0, help="Steps of Adam on general data before all that is counted; 0 for fresh weights.")
]


def chosen_data(
    name: str, general: Path | None, devices: list[Path] | None, tokens: int, num_devices: int, most: int | None
) -> FederatedSamples:
    """The data that the options name, for so many devices, evenly chosen from those that there are.

    Raises:
        InvalidInputError: there are fewer devices, or files that do not fit.
    """
    return _all_data(name, general, devices, tokens).evenly(num_devices, most)


def chosen_net(samples: FederatedSamples, depth: int, width: int) -> Net:
    """A net of four heads for such samples."""
    if width % 4:
        raise InvalidInputError(f"--width must be a multiple of 4, got {width}")
    inputs, targets = samples.general
    if inputs.ndim == 3:
        classes = 1 + max(int(each.train.targets.max()) for each in samples.devices)
        return Net(depth=depth, width=width, tokens=inputs.shape[1], outputs=classes, patch=inputs.shape[2])
    return Net(depth=depth, width=width, tokens=targets.shape[1])


def chosen_weights(samples: FederatedSamples, net: Net, steps: int, seed: int) -> Weights:
    """What an episode begins with: fresh weights, or those after so many steps of Adam on the general data."""
    if not steps:
        return initial_weights(net, seed)
    return pretrained(net, samples.general, steps, _BEGUN_BATCH, seed=seed)


def _all_data(name: str, general: Path | None, devices: list[Path] | None, tokens: int) -> FederatedSamples:
    if (general is None) != (not devices):
        raise InvalidInputError("--general and --device belong together: give both or neither")
    if general is not None and devices:
        return own_images(general, devices) if general.suffix == ".npz" else own_text(general, devices, tokens)
    if name not in (*GAPS, "glyphs"):
        raise InvalidInputError(f"--data must be one of {', '.join(GAPS)}, glyphs, got {name!r}")
    if name == "glyphs":
        return glyphs_and_digits()
    return addresses(name, tokens)
