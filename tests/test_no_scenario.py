"""What takes a scenario says how to make one where it is given something else."""

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own, in which annotations are not checked before.
CALLS = """
import sys
from edgelearn_env import InvalidInputError, Scenario, Tape, model_of, rollout, sample_tape
from edgelearn_env import baselines as b

tape = sample_tape(Scenario.from_toml(sys.argv[1]), 1)
calls = {
    "sample_tape": lambda other: sample_tape(other, 1),
    "Tape.checked": tape.checked,
    "rollout": lambda other: rollout(other, tape, None),
    "model_of": model_of,
    "clairvoyant": lambda other: b.clairvoyant(other, tape),
    "clairvoyant_batch": lambda other: b.clairvoyant_batch(other, Tape.stack([tape])),
    "cached_optima": lambda other: next(b.cached_optima(other, [1], "nowhere")),
    "static_design": b.static_design,
    "sca_design": b.sca_design,
    "ablated_design": lambda other: b.ablated_design("fixed power", other),
    "ablated_optimum": lambda other: b.ablated_optimum("fixed power", other, tape),
    "ladder_of": b.ladder_of,
    **b.LADDER,
}
for name, call in calls.items():
    for other in ("tiny", None, {"preset": "tiny"}):
        try:
            call(other)
        except InvalidInputError as error:
            print(name, error, sep="|")
        except Exception as error:
            print(name, type(error), sep="|")
"""


@pytest.fixture(scope="module")
def printed() -> list[list[str]]:
    scenario = Path(__file__).parent / "tiny.toml"
    done = subprocess.run([sys.executable, "-c", CALLS, scenario], capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_everything_that_takes_a_scenario_refuses_what_is_none_in_the_same_sentence(printed):
    assert len(printed) >= 3 * 18
    made = "Scenario.load makes one of a preset's name, a .toml file or a table"
    for name, sentence in printed:
        assert sentence.startswith("scenario must be a Scenario, got "), name
        assert sentence.endswith(f": {made}"), name
    assert {sentence for name, sentence in printed if name == "sample_tape"} == {
        f"scenario must be a Scenario, got {other!r}: {made}" for other in ("tiny", None, {"preset": "tiny"})
    }
