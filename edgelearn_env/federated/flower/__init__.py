"""The engine's work on many machines, by Flower: the server plays the schedule, nodes do the local updates."""

import importlib.util
import os

from edgelearn_env.errors import MissingExtraError

if importlib.util.find_spec("flwr") is None:
    raise MissingExtraError("training on many machines needs Flower: pip install 'edgelearn-env[flower]'")
# Flower reads them when it is imported, which is after this: nothing is to be sent to anyone but the nodes.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
