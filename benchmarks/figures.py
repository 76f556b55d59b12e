"""Samples and how they are printed: medians and percentiles, never single times."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from o.domain.json import JsonObject


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` (0 to 1) of them do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Report:
    """Figures in the order they were measured."""

    rows: list[tuple[str, JsonObject]] = field(default_factory=list)

    def times(self, name: str, seconds: Sequence[float], **more: float) -> None:
        """Percentiles of durations, in milliseconds."""
        figures = {f"p{round(share * 100)}_ms": percentile(seconds, share) * 1000 for share in (0.5, 0.9, 0.99)}
        self.add(name, n=len(seconds), **figures, **more)

    def add(self, name: str, **figures: float) -> None:
        self.rows.append((name, {key: round(value, 2) for key, value in figures.items()}))

    def print(self, *, as_json: bool) -> None:
        """A table for people; with `as_json` one JSON object as the last line."""
        table = Table("figure", "values", box=None)
        for name, figures in self.rows:
            table.add_row(name, "  ".join(f"{key}={value:g}" for key, value in figures.items()))
        Console().print(table)
        if as_json:
            print(json.dumps(dict(self.rows)))
