"""What scenarios of layer tuning add: a family of pre-trained nets of several depths, and devices' memories."""

from typing import Any

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.physics.transformer import TransformerSize
from edgelearn_env.scenarios.parts import PerDevice, part
from edgelearn_env.scenarios.quantities import Quantities, quantity

# One number for each depth; one row for each depth with a number for each level, of 1 block, of 2, and so on.
PerDepth = np.ndarray | list[float] | tuple[float, ...]
PerLevel = np.ndarray | list[Any] | tuple[Any, ...]


@part
class Networks(Quantities):
    """Transformers of D depths, all pre-trained by the server; a device trains the last t of l blocks and the head.

    The scenario's `learning` speaks of the deepest net when all of it is trained; other depths and levels are told by
    what they need and have beside it. FLOPs and uploads are in proportion to those that `physics.transformer` states.

    **Shares.** rho_l(t) is the part of the squared gradient norm that is at least in the last t blocks and the head,

        ||gradient of the last t blocks||^2 >= rho_l(t) ||grad F||^2   at all models on the way,   rho_l(l) = 1.

    It is an assumption, to be measured on real training, not a law. Without it the bound still says that
    sum_n sum_q Omega_{q,n} ||grad_q F(w_n)||^2 <= A, with grad_q F the gradient of block q and Omega_{q,n} the weight
    of those who trained it in round n: blocks that nobody trains may keep all of their gradient. A share that is
    assumed too large breaks the bound where low levels are played: rho(t) = t / l did in 168 of 200 trials of nothing
    but low levels, by a factor of up to 10.7.

    Attributes:
        depths: l of each net, rising, (D,).
        predicts_every_token: whether the head is asked at every token, as in a language model, or once for a sample.
        gap_factor: G_0 of each depth, in that of `learning`, (D,).
        distribution_factor: delta^2 of each depth, likewise, (D,).
        floor: least task loss of each depth above that of the best one, (D,).
        share: rho_l(t), not falling, 1 from t = l on; (D, L) with L the deepest net's blocks. Rows may be shorter.
        noise_factor: sigma^2 of each level, in that of `learning`, (D, L); beyond t = l the last one counts.
    """

    width: int = quantity("width of a block", "d", at_least=1, integer=True)
    heads: int = quantity("heads of attention", "h", at_least=1, integer=True)
    tokens: int = quantity("tokens of a sample", "S", at_least=1, integer=True)
    outputs: int = quantity("classes, or letters", "V", at_least=1, integer=True)
    embedding_weights: int = quantity("weights of the embedding", "P_e", at_least=0, integer=True)
    predicts_every_token: bool
    depths: PerDepth
    gap_factor: PerDepth
    distribution_factor: PerDepth
    floor: PerDepth
    share: PerLevel
    noise_factor: PerLevel

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require(isinstance(self.predicts_every_token, bool), "predicts_every_token", "must be true or false")
        for name in ("depths", "gap_factor", "distribution_factor", "floor"):
            self._keep(name, self._numbers(name, getattr(self, name)))
        depths = np.asarray(self.depths)
        whole = np.all(depths == np.round(depths)) and np.all(depths >= 1) and np.all(np.diff(depths) > 0)
        self.require(whole, "depths", "must be rising whole numbers of at least 1")
        self._keep("depths", depths.astype(np.int64))
        for name, least in (("gap_factor", 1e-12), ("distribution_factor", 0.0), ("floor", 0.0)):
            values = np.asarray(getattr(self, name))
            self.require(len(values) == len(depths), name, f"must have a number for each of {len(depths)} depths")
            self.require(values >= least, name, f"must be at least {least:g}")
        for name in ("share", "noise_factor"):
            self._keep(name, self._rows(name, getattr(self, name)))
        self._require_shares()

    @property
    def size(self) -> TransformerSize:
        """What the nets' costs depend on."""
        return TransformerSize(
            width=self.width,
            heads=self.heads,
            tokens=self.tokens,
            outputs=self.outputs,
            embedding_weights=self.embedding_weights,
            predicts_every_token=self.predicts_every_token,
        )

    @property
    def num_depths(self) -> int:
        """D."""
        return len(np.asarray(self.depths))

    @property
    def most_blocks(self) -> int:
        """L, blocks of the deepest net."""
        return int(np.asarray(self.depths)[-1])

    def place_of(self, depth: int) -> int:
        """Index of a depth.

        Raises:
            InvalidInputError: no net has it.
        """
        places = np.flatnonzero(np.asarray(self.depths) == depth)
        if not places.size:
            known = ", ".join(map(str, np.asarray(self.depths).tolist()))
            raise InvalidInputError(f"depth must be one of networks.depths, {known}, got {depth}")
        return int(places[0])

    def _require_shares(self) -> None:
        share = np.asarray(self.share)
        beyond = np.arange(1, self.most_blocks + 1) >= np.asarray(self.depths)[:, None]
        self.require(np.all(share > 0) and np.all(np.diff(share, axis=1) >= 0), "share", "must be above 0, not falling")
        self.require(np.all(share[beyond] == 1), "share", "must be 1 for all blocks of a net")
        self.require(np.asarray(self.noise_factor) >= 0, "noise_factor", "must be at least 0")

    def _keep(self, name: str, array: np.ndarray) -> None:
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def _numbers(self, name: str, values: Any) -> np.ndarray:
        """A float64 copy of finite numbers, at least one, without further axes."""
        try:
            numbers = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.full((1, 1), np.nan)
        if numbers.ndim != 1 or not numbers.size or not np.all(np.isfinite(numbers)):
            raise InvalidInputError(f"{self.name_of(name)} must be a list of finite numbers, got {values!r}")
        return numbers

    def _rows(self, name: str, rows: Any) -> np.ndarray:
        """A row of L numbers for each depth, whose last number goes on where it is short, (D, L)."""
        depths = np.asarray(self.depths)
        if not isinstance(rows, list | tuple | np.ndarray) or len(rows) != len(depths):
            sentence = f"must have a row for each of {len(depths)} depths"
            raise InvalidInputError(f"{self.name_of(name)} {sentence}, got {rows!r}")
        filled = []
        for depth, row in zip(depths.tolist(), rows, strict=True):
            numbers = self._numbers(name, row)
            if len(numbers) < depth:
                sentence = f"must have at least {depth} numbers for the net of {depth} blocks"
                raise InvalidInputError(f"{self.name_of(name)} {sentence}, got {len(numbers)}")
            blocks = np.minimum(np.arange(self.most_blocks), depth - 1)
            filled.append(numbers[blocks])
        return np.stack(filled)


@part
class Memory(Quantities):
    """What devices can hold while they train."""

    limit_byte: PerDevice = quantity("memory of a device for training", "M_k", "byte", above=0, per_device=True)
    optimizer_words: int = quantity(
        "numbers that the optimizer keeps beside each trained weight", "q", at_least=0, integer=True, default=0
    )


def places_of(depth: Array, depths: Array) -> Array:
    """Index of each depth among those of the nets, (D,); 0 for what is none of them."""
    xp, place = namespace_of(depth), depth * 0
    for index in range(1, depths.shape[0]):
        place = xp.where(depth == depths[index], index, place)
    return place
