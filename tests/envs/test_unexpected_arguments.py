"""What a constructor does not take it refuses as Python does, since libraries probe constructors with keywords."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import gymnasium
import pytest

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.registration import environment_ids
from edgelearn_env.wrappers.soft_budgets import SoftBudgets, VectorSoftBudgets

SENTENCE = "got an unexpected keyword argument 'frameskip': scenario parts are name, server, devices, radio, energy, "


def torch_form(**kwargs: Any) -> Any:
    pytest.importorskip("torch")
    return import_module("edgelearn_env.two_stage.tensor_env").TwoStageTorch(**kwargs)


def agents(**kwargs: Any) -> Any:
    pytest.importorskip("pettingzoo")
    return import_module("edgelearn_env.two_stage.parallel").parallel_env(**kwargs)


def made(make: Callable[..., Any], name: str) -> Callable[..., Any]:
    return lambda **kwargs: make(name, **kwargs)


CONSTRUCTORS = {
    **{f"make {name}": made(gymnasium.make, name) for name in environment_ids()},
    **{f"make_vec {name}": made(gymnasium.make_vec, name) for name in environment_ids()},
    "soft budgets": lambda **kwargs: SoftBudgets.relaxing(2.0, **kwargs),
    "soft budgets of many": lambda **kwargs: VectorSoftBudgets.relaxing(2.0, 2, **kwargs),
    "tensors": torch_form,
    "agents": agents,
}


@pytest.mark.parametrize("construct", CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_an_unknown_keyword_is_a_type_error_that_names_it(construct: Callable[..., Any]):
    with pytest.raises(TypeError, match=SENTENCE) as caught:
        construct(scenario="tiny", frameskip=4)
    assert isinstance(caught.value, InvalidInputError)


@pytest.mark.parametrize("construct", CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_a_wrong_value_of_a_known_part_is_none(construct: Callable[..., Any]):
    with pytest.raises(InvalidInputError, match="unknown field of budgets 'frameskip'") as caught:
        construct(scenario="tiny", budgets={"frameskip": 4})
    assert not isinstance(caught.value, TypeError)
