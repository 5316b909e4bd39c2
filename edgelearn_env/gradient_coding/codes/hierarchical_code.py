"""A gradient code of two levels: devices send combinations to their edge node, edge nodes to the master."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.codes.combining import combined, combining_weights, magnification, squared_error
from edgelearn_env.gradient_coding.codes.layout import CodeLayout


class Combination(NamedTuple):
    """A weighted sum of parts' gradients, as an edge node sends it and as the master ends with it.

    Attributes:
        gradient: sum_k c_k g_k, shaped like a part's gradient.
        part_weights: c, (P,); all ones where decoding is exact.
    """

    gradient: Array
    part_weights: np.ndarray

    @property
    def squared_error(self) -> float:
        """(1/P) sum_k (c_k - 1)^2, by which it misses the sum of all parts."""
        return float(squared_error(self.part_weights))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HierarchicalCode:
    """Coefficients that let the master have the sum of all parts' gradients though edges and devices are late.

    Device k sends sum_p B[k, p] g_p. Edge node i combines what has come into sum_p E[i, p] g_p, which it can once all
    but s_w of its devices have answered; the master combines edges into sum_p g_p, which it can once all but s_e of
    them have. Each combines by least squares, so that with fewer answers the sum is approached, and what is missing is
    known. An edge node knows its own devices alone: a master that saw the answers of all devices, of incomplete edges
    too, could decode now and then where this one cannot.

    Devices are counted through, edge by edge: k = 0, ..., K - 1.

    Attributes:
        layout: groups, and how many may be late.
        edge_coefficients: E, weight of each part in what each edge node is to send, (n, P).
        coefficients: B, weight of each part in what each device sends; zero where it does not compute it, (K, P).
    """

    layout: CodeLayout
    edge_coefficients: np.ndarray
    coefficients: np.ndarray

    def __post_init__(self) -> None:
        for name in ("edge_coefficients", "coefficients"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def of_levels(cls, layout: CodeLayout, edge_coefficients: np.ndarray, within: list[np.ndarray]) -> Self:
        """The code in which device j of edge i weighs part p by `within[i][j, p]` times what its edge does."""
        rows = [weights * edge for weights, edge in zip(within, edge_coefficients, strict=True)]
        return cls(layout=layout, edge_coefficients=edge_coefficients, coefficients=np.concatenate(rows))

    @property
    def num_parts(self) -> int:
        """P, parts that the data are cut into."""
        return int(self.coefficients.shape[1])

    @property
    def load(self) -> np.ndarray:
        """D / P, the share of the parts that each device computes, (K,)."""
        return np.asarray(np.mean(self.coefficients != 0, axis=1))

    def devices_of(self, edge: int) -> range:
        """The devices of an edge node."""
        first = sum(self.layout.group_sizes[:edge])
        return range(first, first + self.layout.group_sizes[edge])

    def parts_of(self, device: int) -> np.ndarray:
        """The parts that a device computes, in ascending order."""
        return np.flatnonzero(self.coefficients[device])

    def decodes(self, answered: np.ndarray) -> np.ndarray:
        """Whether n - s_e edges have m_i - s_w answers each, from which the sum is exact whoever they are, (...).

        No code of this load bears more: if a part lacks s_w + 1 devices in s_e + 1 edges, nobody sends it. Other sets
        decode by luck alone, as where one edge's answers stand in for the same devices of another: `squared_error` is
        zero then.

        Args:
            answered: whether a device's message has come in time, (..., K).
        """
        layout, answered = self.layout, self._checked(answered)
        counts = np.add.reduceat(answered, self._first_devices(), axis=-1, dtype=int)
        complete = counts >= np.array(layout.group_sizes) - layout.device_stragglers
        return np.asarray(np.sum(complete, axis=-1) >= layout.num_edges - layout.edge_stragglers)

    def edge_weights(self, edge: int, answered: np.ndarray) -> np.ndarray:
        """What an edge node weighs each of its devices' messages by, zero for those that are late, (..., m_i).

        Args:
            edge: i.
            answered: whether the message of a device of this edge has come in time, (..., m_i).
        """
        rows = self.coefficients[list(self.devices_of(edge))]
        weights = combining_weights(rows * answered[..., None], self.edge_coefficients[edge])
        return np.where(answered, weights, 0.0)

    def weights(self, answered: np.ndarray) -> np.ndarray:
        """What edges and master together weigh each device's message by, zero for those that are late, (..., K).

        Args:
            answered: whether a device's message has come in time, (..., K).
        """
        answered = self._checked(answered)
        groups = [list(self.devices_of(edge)) for edge in range(self.layout.num_edges)]
        within = [self.edge_weights(edge, answered[..., group]) for edge, group in enumerate(groups)]
        rows = [weights @ self.coefficients[group] for weights, group in zip(within, groups, strict=True)]
        at_master = combining_weights(np.stack(rows, axis=-2), np.ones(self.num_parts))
        each = [at_master[..., edge, None] * weights for edge, weights in enumerate(within)]
        return np.concatenate(each, axis=-1)

    def squared_error(self, answered: np.ndarray) -> np.ndarray:
        """(1/P) sum_k (c_k - 1)^2, c_k the weight that part k ends with: what late devices cost, (...).

        Args:
            answered: whether a device's message has come in time, (..., K).
        """
        return squared_error(self.weights(answered) @ self.coefficients)

    def magnification(self, answered: np.ndarray) -> np.ndarray:
        """How many times decoding magnifies the rounding of parts' gradients at most: its conditioning, (...).

        Args:
            answered: whether a device's message has come in time, (..., K).
        """
        return magnification(self.weights(answered), self.coefficients)

    def message(self, device: int, part_gradients: Array) -> Array:
        """What a device sends: sum_p B[k, p] g_p.

        Args:
            device: k.
            part_gradients: gradients of `parts_of` the device, in that order, (D, *shape), of any array library.
        """
        return combined(self.coefficients[device, self.parts_of(device)], part_gradients)

    def edge_message(self, edge: int, answers: Mapping[int, Array]) -> Combination:
        """What an edge node sends: its devices' messages, combined into what it owes the master, or near it.

        Args:
            edge: i.
            answers: messages that have come, by device; at least one.

        Raises:
            InvalidInputError: no message, or one of a device of another edge.
        """
        devices = self.devices_of(edge)
        _require_known("answers of an edge", answers, devices)
        weights = self.edge_weights(edge, np.array([device in answers for device in devices]))
        came = [device for device in devices if device in answers]
        kept = weights[[device - devices.start for device in came]]
        gradient = _combined_messages(kept, [answers[device] for device in came])
        return Combination(gradient, kept @ self.coefficients[came])

    def decoded(self, answers: Mapping[int, Combination]) -> Combination:
        """What the master ends with: edges' messages, combined into the sum of all parts' gradients, or near it.

        Args:
            answers: messages that have come, by edge; at least one.

        Raises:
            InvalidInputError: no message, or one of an edge that is not there.
        """
        _require_known("answers of edges", answers, range(self.layout.num_edges))
        came = [answers[edge] for edge in sorted(answers)]
        rows = np.stack([answer.part_weights for answer in came])
        weights = combining_weights(rows, np.ones(self.num_parts))
        return Combination(_combined_messages(weights, [answer.gradient for answer in came]), weights @ rows)

    def _first_devices(self) -> np.ndarray:
        return np.cumsum((0, *self.layout.group_sizes[:-1]))

    def _checked(self, answered: np.ndarray) -> np.ndarray:
        answered = np.asarray(answered)
        if answered.dtype != bool or answered.shape[-1:] != (self.layout.num_devices,):
            sentence = f"answered must hold a truth value for each of {self.layout.num_devices} devices"
            raise InvalidInputError(f"{sentence}, got {answered.dtype} of shape {answered.shape}")
        return answered


def _require_known(name: str, answers: Mapping[int, object], known: range) -> None:
    if not answers or not set(answers) <= set(known):
        raise InvalidInputError(f"{name} must be of some of {known.start} to {known.stop - 1}, got {sorted(answers)}")


def _combined_messages(weights: np.ndarray, messages: list[Array]) -> Array:
    return combined(weights, namespace_of(messages[0]).stack(messages))
