"""What is proven of test tapes: bounds, and what clairvoyant plans reach. Files for some presets come with it."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from edgelearn_env.baselines.optimum import Optimum
from edgelearn_env.baselines.optimum_cache import optimum_digest
from edgelearn_env.evaluation.report import Played, Report
from edgelearn_env.files import written_atomically
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.play import each_its_own
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout

_FOLDER = Path(__file__).parent


class ProvenTapes(NamedTuple):
    """Proofs for the tapes of some seeds.

    Attributes:
        report: bounds, and the clairvoyant plan in whole batches as the only policy.
        digests: of each tape's scenario, tape and prover; a proof does not outlive its prover.
        num_pairs: pairs (M, N) that each proof is for.
    """

    report: Report
    digests: Sequence[str]
    num_pairs: int

    @classmethod
    def of(cls, scenario: Scenario, seeds: Sequence[int], tapes: Sequence[Tape], optima: Sequence[Optimum]) -> Self:
        """What was proven just now."""
        plans = rollout(scenario, Tape.stack(tapes), each_its_own([optimum.whole_plan for optimum in optima]))
        report = Report.of(scenario, seeds, optima, [Played.of("clairvoyant", "clairvoyant", [[plans]])])
        return cls(report, digests_of(scenario, tapes), optima[0].certificate.num_pairs)

    @classmethod
    def that_come_with(cls, scenario: Scenario, seeds: Sequence[int], tapes: Sequence[Tape]) -> Self | None:
        """What comes with the package for these tapes, if all were proven by what is installed now."""
        path = file_of(scenario.name)
        if not path.is_file():
            return None
        known = cls.load(path)
        place = {seed: index for index, seed in enumerate(known.report.seeds)}
        if not set(seeds) <= set(place):
            return None
        rows = [place[seed] for seed in seeds]
        digests = [known.digests[row] for row in rows]
        if digests != digests_of(scenario, tapes):
            return None
        return cls(_of_tapes(known.report, rows), digests, known.num_pairs)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A file that `save` wrote."""
        table = json.loads(path.read_text(encoding="utf-8"))
        return cls(Report.from_dict(table["report"]), table["digests"], int(table["num_pairs"]))

    @property
    def clairvoyant(self) -> Played:
        """The plan in whole batches."""
        return self.report.played[0]

    def save(self, path: Path) -> None:
        """Write a file that `that_come_with` reads, atomically."""
        table: dict[str, Any] = {
            "digests": list(self.digests),
            "num_pairs": self.num_pairs,
            "report": self.report.to_dict(),
        }
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(table) + "\n", encoding="utf-8")


def file_of(name: str) -> Path:
    """Where the proofs of a preset's test tapes are."""
    return _FOLDER / f"{Path(name).name}.json"


def digests_of(scenario: Scenario, tapes: Sequence[Tape]) -> list[str]:
    """Of each tape: they differ wherever the optimum or its proof might."""
    return [optimum_digest(scenario, tape) for tape in tapes]


def _of_tapes(report: Report, rows: Sequence[int]) -> Report:
    """A report on some of its tapes."""
    played = [
        dataclasses.replace(
            each,
            objective=each.objective[:, rows],
            columns={name: values[:, rows] for name, values in each.columns.items()},
            end_reasons=each.end_reasons[:, rows],
        )
        for each in report.played
    ]
    seeds = [report.seeds[row] for row in rows]
    return dataclasses.replace(
        report, seeds=seeds, bound=report.bound[rows], relaxed=report.relaxed[rows], played=played
    )
