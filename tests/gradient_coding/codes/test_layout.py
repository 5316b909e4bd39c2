"""What a layout says of load and parts, from hand values and from a linear program."""

import numpy as np
import pytest
from coded_groups import GROUPS, codes_for, layouts
from scipy.optimize import linprog

from edgelearn_env import InvalidInputError
from edgelearn_env.gradient_coding import CodeLayout

LAYOUTS = [layout for sizes in GROUPS for layout in layouts(sizes)]


def layout(sizes: tuple[int, ...], edges: int, devices: int) -> CodeLayout:
    return CodeLayout(group_sizes=sizes, edge_stragglers=edges, device_stragglers=devices)


@pytest.mark.parametrize(
    ("sizes", "edges", "devices", "num_parts", "of_edges"),
    [
        ((3, 3, 3), 0, 0, 9, (3, 3, 3)),
        # Of three parts each edge would hold two, and each of its devices 4/3: so there are thrice as many.
        ((3, 3, 3), 1, 1, 9, (6, 6, 6)),
        ((3, 3, 3), 2, 2, 1, (1, 1, 1)),
        # Shares 2/9 a device: 4/9, 6/9 and 8/9 of the parts.
        ((2, 3, 4), 1, 1, 9, (4, 6, 8)),
        # Groups hold all parts; two devices halve them.
        ((2, 3, 4), 2, 0, 2, (2, 2, 2)),
        # The larger group is full, the other has the rest.
        ((1, 5), 1, 0, 1, (1, 1)),
    ],
)
def test_parts_are_as_few_as_can_be_dealt_out(sizes, edges, devices, num_parts, of_edges):
    made = layout(sizes, edges, devices)
    assert (made.num_parts, made.parts_of_edges) == (num_parts, of_edges)


@pytest.mark.parametrize("made", LAYOUTS, ids=str)
def test_the_least_load_is_that_of_a_linear_program_over_shares(made):
    n, copies = made.num_edges, made.device_stragglers + 1
    # min load over shares x <= 1 of edges: sum x = s_e + 1, x_i (s_w + 1) / m_i <= load.
    limits = np.hstack([copies * np.diag(1 / np.array(made.group_sizes)), -np.ones((n, 1))])
    found = linprog(
        [*np.zeros(n), 1],
        A_ub=limits,
        b_ub=np.zeros(n),
        A_eq=[[*np.ones(n), 0]],
        b_eq=[made.edge_stragglers + 1],
        bounds=[*[(0, 1)] * n, (0, None)],
    )
    assert made.least_load == pytest.approx(found.fun, rel=1e-9)
    assert made.least_load >= made.load_bound * (1 - 1e-12)
    assert made.attains_load_bound == (made.least_load == pytest.approx(made.load_bound, rel=1e-9))


@pytest.mark.parametrize("sizes", GROUPS, ids=str)
def test_every_code_has_the_least_load(sizes):
    for code in codes_for(sizes):
        assert code.load.max() == pytest.approx(code.layout.least_load, rel=1e-12)
        if code.layout.attains_load_bound:
            np.testing.assert_allclose(code.load, code.layout.load_bound, rtol=1e-12)


@pytest.mark.parametrize("sizes", GROUPS, ids=str)
def test_every_part_has_devices_enough_in_edges_enough_and_no_more(sizes):
    for code in codes_for(sizes):
        made, computes = code.layout, code.coefficients != 0
        in_edges = np.array([computes[list(code.devices_of(edge))].sum(axis=0) for edge in range(made.num_edges)])
        assert set(np.unique(in_edges)) <= {0, made.device_stragglers + 1}
        assert set(np.count_nonzero(in_edges, axis=0)) == {made.edge_stragglers + 1}


@pytest.mark.parametrize(
    ("sizes", "edges", "devices", "sentence"),
    [
        ((), 0, 0, r"group_sizes must be whole numbers of at least 1, got \(\)"),
        ((2, 0), 0, 0, r"group_sizes must .*, got \(2, 0\)"),
        ((2, 1.5), 0, 0, r"group_sizes must .*, got \(2, 1.5\)"),
        ((2, 2), 2, 0, "edge_stragglers must be a whole number from 0 to 1, got 2"),
        ((2, 3), 0, 2, "device_stragglers must be a whole number from 0 to 1, got 2"),
        ((2, 3), 0, -1, "device_stragglers must be .*, got -1"),
        ((2, 3), True, 0, "edge_stragglers must be .*, got True"),
    ],
)
def test_numbers_out_of_their_limits_are_named(sizes, edges, devices, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        layout(sizes, edges, devices)
