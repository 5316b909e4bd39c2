"""`edgelearn scenarios`: the presets, or one scenario in full."""

from typing import Annotated

import tomli_w
import typer

from edgelearn_env.printing.output import Output
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scenarios.scenario import Scenario


def scenarios(
    name: Annotated[str | None, typer.Argument(help="A preset or .toml file to print in full, as TOML.")] = None,
) -> None:
    """List the presets, or print one scenario as a TOML file to start from."""
    if name is not None:
        print(tomli_w.dumps(Scenario.load(name).to_dict()), end="")
        return
    headings = ("name", "system", "devices", "delay budget", "energy budget", "longest episode")
    table = table_of(*headings, title="Scenario presets", texts={"system"})
    for scenario in map(Scenario.preset, Scenario.presets()):
        budgets = scenario.budgets
        table.add_row(
            scenario.name,
            scenario.system,
            str(scenario.num_devices),
            f"{budgets.delay_s:g} s",
            f"{budgets.energy_j:g} J",
            f"{budgets.max_rounds} rounds",
        )
    Output().table(table)
