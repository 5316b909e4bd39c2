"""`edgelearn federate`: its commands as an application of its own."""

import importlib.util

from edgelearn_env.errors import MissingExtraError
from edgelearn_env.scripts.commands import COMMANDS, Command
from edgelearn_env.scripts.lazy_app import lazy_app

if importlib.util.find_spec("torch") is None:
    raise MissingExtraError("real training needs torch: pip install 'edgelearn-env[federated]'")

FEDERATE_COMMANDS = {
    "run": Command(
        "federate.run",
        "Play a policy, then do in real training what it decided; an interrupted run goes on where it stopped.",
    ),
    "study": Command(
        "federate.study",
        "Fine-tune pre-trained nets under every scheme; Ctrl-C shows what there is, and the same command goes on.",
    ),
    "calibrate": Command(
        "federate.calibrate",
        "Measure what the learning bounds assume, and write scenarios that load, solve and play.",
    ),
    "truth": Command(
        "federate.truth",
        "Play many schedules in real training; an interrupted run goes on where it stopped.",
    ),
    "layers": Command(
        "federate.layers",
        "Play policies of layer tuning, the optimum and LoRA in real training; an interrupted run goes on.",
    ),
}

federate = lazy_app("federate", COMMANDS["federate"].help, FEDERATE_COMMANDS)
