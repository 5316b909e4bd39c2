"""An environment's `spec` as JSON can hold it, whatever types its arguments had."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from edgelearn_env.scenarios.scenario import Scenario


class PlainSpec:
    """Mixin of an environment that `gymnasium.make(EnvSpec.from_json(env.spec.to_json()))` makes again.

    Datasets and other machines get a spec as JSON, while arguments may be scenarios, paths, arrays or enums. `spec`
    holds plain types in their place. A scenario or a scenario file becomes a table with all its values, so that the
    spec stands alone; a preset stays a name.
    """

    _spec: EnvSpec | None = None

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        raise NotImplementedError

    @property
    def spec(self) -> EnvSpec | None:
        """How this environment was made; None if not by `gymnasium.make` or `make_vec`, which set it."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = spec and dataclasses.replace(spec, kwargs=self._plain(spec.kwargs))

    def _plain(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        source: Any = arguments.get("scenario")
        is_file = isinstance(source, str | Path) and str(source).endswith(".toml")
        found: dict[str, Any] = plain({**arguments, "scenario": self.scenario} if is_file else arguments)
        return found


def plain(value: Any) -> Any:
    """The same as numbers, text, lists and tables; what is none of the kinds known here stays as it is."""
    if isinstance(value, str | bool):
        return value
    for kind, converted in _CONVERSIONS.items():
        if isinstance(value, kind):
            return converted(value)
    return value


# What a scenario, a number, an array or a choice may be handed in as; the first that fits counts.
_CONVERSIONS: Mapping[type[Any], Callable[[Any], Any]] = {
    Scenario: Scenario.to_dict,
    Path: str,
    Enum: lambda choice: choice.value,
    Integral: int,
    Real: float,
    Mapping: lambda table: {name: plain(item) for name, item in table.items()},
    np.ndarray: lambda array: plain(array.tolist()),
    Iterable: lambda items: [plain(item) for item in items],
}
