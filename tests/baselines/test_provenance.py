"""A proof does not outlive its prover: the digest of sources changes with what proves, and with nothing else."""

import pytest

from edgelearn_env import Scenario, sample_tape
from edgelearn_env.baselines import optimum_cache, provenance
from edgelearn_env.baselines.optimum_cache import optimum_digest

# A preset of each system.
EACH = ("tiny", "coded", "layers")


def digest_of(preset: str) -> str:
    """The digest of an optimum of a preset."""
    scenario = Scenario.preset(preset)
    provenance.source_digest.cache_clear()
    return optimum_digest(scenario, sample_tape(scenario, 0))


@pytest.fixture
def digest_with(monkeypatch, tmp_path):
    """The digest of an optimum if the source of one module had a line more."""
    real = provenance._source_of

    def digest(changed: str, preset: str = "tiny") -> str:
        def source_of(module: str):
            if module != changed:
                return real(module)
            copy = tmp_path / "changed.py"
            copy.write_bytes(real(module).read_bytes() + b"\n# a line more\n")
            return copy

        monkeypatch.setattr(provenance, "_source_of", source_of)
        found = digest_of(preset)
        provenance.source_digest.cache_clear()
        return found

    return digest


@pytest.fixture(scope="module")
def untouched() -> dict[str, str]:
    """The digests of sources as they are."""
    return {preset: digest_of(preset) for preset in EACH}


@pytest.mark.parametrize(
    "module",
    [
        "edgelearn_env.physics.uplink",
        "edgelearn_env.stages.synchronous",
        "edgelearn_env.stages.bounds",
        "edgelearn_env.tapes.tape",
        "edgelearn_env.trajectory",
        "edgelearn_env.baselines.priced.master",
        "edgelearn_env.baselines.stages.static.search",
        "edgelearn_env.two_stage.array_kernel",
        "edgelearn_env.stages.dynamics",
        "edgelearn_env.baselines.priced.bounds",
        "edgelearn_env.baselines.priced.search",
        "edgelearn_env.baselines.stages.model.cheapest_rounds",
        "edgelearn_env.baselines.stages.clairvoyant.priced_episode",
        "edgelearn_env.baselines.two_stage.clairvoyant",
        "edgelearn_env.baselines.stages.model.closed_forms",
    ],
)
def test_what_proves_or_is_proven_about_changes_the_digest(digest_with, untouched, module):
    assert digest_with(module) != untouched["tiny"]


@pytest.mark.parametrize(
    "module",
    [
        "edgelearn_env.agents.ppo",
        "edgelearn_env.scripts.benchmark",
        "edgelearn_env.baselines.random_play",
        "edgelearn_env.baselines.stages.conic.program",
        "edgelearn_env.baselines.one_thread",
        "edgelearn_env.baselines.solvers",
        "edgelearn_env.baselines.stages.structured.interior_point",
        "edgelearn_env.two_stage.compiled_round",
        "edgelearn_env.stages.encoding",
        "edgelearn_env.array_episodes",
    ],
)
def test_what_has_no_part_in_it_leaves_the_digest(digest_with, untouched, module):
    assert digest_with(module) == untouched["tiny"]


@pytest.mark.parametrize(
    ("module", "preset"),
    [
        ("edgelearn_env.baselines.gradient_coding.priced_codes", "coded"),
        ("edgelearn_env.baselines.gradient_coding.model.cheapest_codes", "coded"),
        ("edgelearn_env.gradient_coding.dynamics", "coded"),
        ("edgelearn_env.baselines.layer_tuning.priced_layers", "layers"),
        ("edgelearn_env.baselines.stages.model.unlike_data", "layers"),
        ("edgelearn_env.layer_tuning.scenario", "layers"),
    ],
)
def test_what_proves_of_another_system_changes_its_digest(digest_with, untouched, module, preset):
    assert digest_with(module, preset) != untouched[preset]


@pytest.mark.parametrize(
    ("module", "preset"),
    [
        ("edgelearn_env.gradient_coding.kernels", "coded"),
        ("edgelearn_env.layer_tuning.kernels", "layers"),
        ("edgelearn_env.baselines.layer_tuning.priced_layers", "tiny"),
        ("edgelearn_env.baselines.gradient_coding.priced_codes", "layers"),
    ],
)
def test_what_another_system_has_of_its_own_leaves_the_digest(digest_with, untouched, module, preset):
    assert digest_with(module, preset) == untouched[preset]


def test_the_digest_is_that_of_a_scenario_whatever_its_name(tiny: Scenario):
    tape = sample_tape(tiny, 0)
    assert optimum_digest(tiny.replace(name="other"), tape) == optimum_digest(tiny, tape)
    assert optimum_digest(tiny.replace(budgets={"delay_s": 14.0}), tape) != optimum_digest(tiny, tape)
    assert optimum_cache.source_digest is provenance.source_digest
