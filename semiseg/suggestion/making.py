"""The making of a suggestion in its folder: measure all cases, choose, and write what an annotator opens."""

import csv
import inspect
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.csv_cells import as_cell
from semiseg.data.verify import problems_of
from semiseg.errors import DataError, raise_all
from semiseg.interfaces.acquisition import Acquisition, Choice
from semiseg.io.atomic import append_line, make_folder, write_text
from semiseg.messages import counted
from semiseg.prediction.ensemble import LoadedRun
from semiseg.progress import Reporter
from semiseg.registry import load
from semiseg.render.page import write_page
from semiseg.suggestion.candidates import measured_candidates
from semiseg.suggestion.files import write_case
from semiseg.suggestion.measuring import Measured, Measuring
from semiseg.suggestion.networks import Networks
from semiseg.suggestion.page import Drawn, page_of
from semiseg.suggestion.pictures import pictures_of
from semiseg.suggestion.pool import Pool
from semiseg.suggestion.record import LABELS, PROGRESS, SuggestedCase, Suggestion, finish
from semiseg.suggestion.slices import choose_slices
from semiseg.types import Case

COLUMNS = ("rank", "patient", "case", "score", "reason", "image", "proposal", "slices")


class Making:
    """Makes the suggestion in a claimed folder."""

    def __init__(
        self,
        home: Path,
        rule: Acquisition,
        runs: Sequence[LoadedRun],
        networks: Networks,
        pool: Pool,
        most_slices: int,
        reporter: Reporter,
    ) -> None:
        self.home, self.rule, self.runs, self.networks = home, rule, runs, networks
        self.pool, self.most_slices, self.reporter = pool, most_slices, reporter
        self.shown = rule if rule.members else _entropy()
        self.measuring = Measuring(rule, self.shown, networks, runs[0].runtime.device)

    def __call__(self, request: Mapping[str, Any]) -> Suggestion:
        """Return the suggestion for a request, after writing its files; ``suggestion.json`` is complete last."""
        pool = measured_candidates(self.measuring, self.pool, self.reporter, self._kept(), self._keep)
        generator = np.random.default_rng(request["seed"])
        choices = self.rule.choose(pool.candidates, request["n"], generator, pool.labeled)
        if len(choices) < request["n"]:
            self.reporter.say(f"Note: there are only {counted(len(choices), 'patient')} to choose from.")
        cases, drawn = self._write(choices)
        counts = {
            "patients": len(pool.candidates),
            "cases": len(self.pool.cases),
            "empty": sum(len(one.empty) for one in pool.candidates),
            "networks": len(self.networks.names),
        }
        date = datetime.now(UTC).isoformat(timespec="seconds")
        found = Suggestion(self.home, request, cases, counts, date)
        write_text(self.home / "suggestions.csv", _csv(cases))
        make_folder(self.home / LABELS)
        page = page_of(found, drawn, self.runs[0].model.info, _first_line(self.rule), self._facts(found))
        write_page(self.home / "index.html", page)
        finish(found)
        (self.home / PROGRESS).unlink(missing_ok=True)
        return found

    def _keep(self, case: str, measured: Measured) -> None:
        append_line(self.home / PROGRESS, json.dumps(measured.record(case)))

    def _kept(self) -> dict[str, Measured]:
        """Return what an earlier call measured; a line that a kill cut off is skipped."""
        path, known = self.home / PROGRESS, dict[str, Measured]()
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            with suppress(ValueError, KeyError):
                record = json.loads(line)
                known[record["case"]] = Measured.of_record(record)
        return known

    def _write(self, choices: Sequence[Choice]) -> tuple[tuple[SuggestedCase, ...], dict[str, Drawn]]:
        by_id = {case.id: case for case in self.pool.cases}
        pairs = [
            (rank, choice, by_id[name]) for rank, choice in enumerate(choices, 1) for name in choice.candidate.cases
        ]
        cases, drawn = list[SuggestedCase](), dict[str, Drawn]()
        with self.reporter.work("writing proposals", len(pairs), unit="case") as meter:
            for rank, choice, case in pairs:
                problems = problems_of(case, partial(self._write_one, rank, choice, case, cases, drawn))
                raise_all(problems, DataError)
                meter.advance()
        return tuple(cases), drawn

    def _write_one(
        self, rank: int, choice: Choice, case: Case, cases: list[SuggestedCase], drawn: dict[str, Drawn]
    ) -> None:
        info = self.runs[0].model.info
        found = self.measuring.predict(case, self.pool.dataset)
        grid = found.image.geometry
        axis = self.networks.first.slice_axis(grid)
        chosen = choose_slices(found.uncertainty, grid, axis, self.most_slices)
        images, proposal = write_case(self.home, case, found, info)
        pictures = pictures_of(case, found, info, chosen, axis, self.most_slices)
        sentence = chosen.sentence() if chosen else ""
        drawn[case.id] = Drawn(pictures, sentence)
        score = None if math.isnan(choice.score) else choice.score
        patient = choice.candidate.patient
        cases.append(SuggestedCase(rank, patient, case.id, score, choice.reason, images, proposal, sentence))

    def _facts(self, found: Suggestion) -> dict[str, str]:
        request, shown = found.request, f"that of the rule {found.rule}"
        if self.shown is not self.rule:
            shown = f"that of the rule entropy, since {found.rule} has none of its own"
        options = ", ".join(f"{key} = {value}" for key, value in request["options"].items())
        return {
            "Networks": "; ".join(self.networks.names),
            "Cases": request["images"] or "the unlabeled cases of the runs",
            "Options": options or "none",
            "Seed": str(request["seed"]),
            "Made": found.date,
            "Uncertainty": f"{shown}, from 0 to 1",
        }


def _first_line(rule: Acquisition) -> str:
    return (inspect.getdoc(type(rule)) or "").partition("\n")[0]


def _entropy() -> Acquisition:
    cls: type[Acquisition] = load("acquisition", "entropy")
    return cls(cls.Options())


def _csv(cases: Sequence[SuggestedCase]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([as_cell(cell) for cell in case.row()] for case in cases)
    return text.getvalue()
