"""What the model says of a round from the injected delays."""

import itertools

import numpy as np
import pytest
from coded_groups import layouts

from edgelearn_env.gradient_coding import CodeLayout, grouped_code, product_code
from edgelearn_env.gradient_coding.execution.delays import Delays


def test_a_round_ends_with_its_last_edge_in_time_and_its_last_device_in_time():
    layout = CodeLayout(group_sizes=(2, 2), edge_stragglers=1, device_stragglers=0)
    delays = Delays(
        start_s=np.array([1.0, 2.0, 3.0, 4.0]), part_s=np.array([0.1, 0.2, 0.0, 0.0]), edge_s=np.array([5.0, 2.0])
    )
    # Two parts each: 1.2, 2.4 | 3, 4; the edges after 7.4 and 6.
    predicted = delays.predicted(product_code(layout))
    assert predicted.seconds == pytest.approx(6.0)
    np.testing.assert_array_equal(predicted.answered, [False, False, True, True])


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 3, 4)], ids=str)
def test_it_is_the_first_moment_at_which_what_has_come_decodes(sizes):
    for layout, seed in itertools.product(layouts(sizes), range(3)):
        code, delays = grouped_code(layout), Delays.drawn(layout, seed)
        predicted = delays.predicted(code)
        device_s = delays.device_s(code)
        # An edge's message holds what its edge has by then: enough, or nothing.
        assert code.decodes(predicted.answered)
        needed = np.sort(
            [
                np.sort(device_s[list(code.devices_of(edge))])[size - layout.device_stragglers - 1] + link
                for (edge, size), link in zip(enumerate(sizes), delays.edge_s, strict=True)
            ]
        )
        assert predicted.seconds == needed[len(sizes) - layout.edge_stragglers - 1]
        assert predicted.answered.sum() == sum(
            sizes[edge] - layout.device_stragglers
            for edge in range(len(sizes))
            if predicted.answered[list(code.devices_of(edge))].any()
        )


def test_delays_are_a_function_of_the_seed_and_a_quarter_is_slow():
    layout = CodeLayout(group_sizes=(500,) * 4, edge_stragglers=0, device_stragglers=0)
    first, again, other = (Delays.drawn(layout, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.part_s, again.part_s)
    assert np.any(first.part_s != other.part_s)
    assert np.mean(first.part_s > 0.1) == pytest.approx(0.25, abs=0.03)
    assert first.start_s.max() <= 0.024
