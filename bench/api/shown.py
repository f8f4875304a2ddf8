"""Tables and tests as a notebook shows them, and as data to go on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.report.statistics.ranking import Ranking
from bench.report.tables.formats import rendered
from bench.report.tables.table import Table

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class ShownTable:
    """A table of cells, each a mean over seeds."""

    table: Table

    def text(self, form: str = "text", decimals: int = 3) -> str:
        """The table as ``text``, ``markdown``, ``latex``, ``siunitx``, ``html``, ``csv`` or ``json``."""
        return rendered(self.table, form, decimals)

    def frame(self) -> DataFrame:
        """The means, in the table's own rows and columns; NaN where there is no figure."""
        from pandas import DataFrame

        table = self.table
        means = [[table.cells[row][column].mean for column in table.columns] for row in table.rows]
        return DataFrame(means, index=list(table.rows), columns=list(table.columns), dtype=float)

    def __repr__(self) -> str:
        return self.text().rstrip("\n")

    def _repr_html_(self) -> str:
        return self.text("html")


@dataclass(frozen=True, repr=False)
class ShownStats:
    """What tests say of the differences between methods."""

    ranking: Ranking

    @property
    def ranks(self) -> DataFrame:
        """The methods, best first: ``mean rank`` over the blocks, and the ``mean`` figure."""
        from pandas import DataFrame

        ranks = self.ranking.ranks
        return DataFrame({"mean rank": ranks, "mean": self.ranking.blocks.frame[list(ranks.index)].mean()})

    @property
    def pairs(self) -> DataFrame:
        """Each pair of methods: the mean ``difference``, its 95 % interval (``low``, ``high``), and p by two tests."""
        from pandas import DataFrame

        return DataFrame(
            {
                "first": pair.first,
                "second": pair.second,
                "difference": pair.difference,
                "low": pair.interval[0] if pair.interval else None,
                "high": pair.interval[1] if pair.interval else None,
                "p Wilcoxon–Holm": pair.wilcoxon_holm,
                "p Nemenyi": pair.nemenyi,
            }
            for pair in self.ranking.pairs
        )

    def __repr__(self) -> str:
        shown = [frame.to_string(float_format="{:.3f}".format) for frame in (self.ranks, self.pairs)]
        return "\n\n".join([*shown, "\n".join(self.ranking.notes)]).rstrip()

    def _repr_html_(self) -> str:
        from bench.report.tables.markup import templates

        return str(templates().get_template("parts.html").module.comparison(self.ranking))  # type: ignore[attr-defined]
