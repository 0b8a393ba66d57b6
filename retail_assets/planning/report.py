"""What a person looks at in the assets of planning."""

import pandas as pd

from retail_assets.core.markdown import table

LEVEL_COLUMNS = {
    "level": ("level", "{}"),
    "rows": ("rows", "{:,.0f}"),
    "wape": ("WAPE", "{:.3f}"),
    "bias": ("bias", "{:+.3f}"),
    "rmse": ("RMSE", "{:.2f}"),
    "rmse_seasonal_naive": ("seasonal naive", "{:.2f}"),
    "rmse_weekday_mean": ("weekday mean", "{:.2f}"),
    "coverage_90": ("90 % covers", "{:.1%}"),
    "coverage_90_closed": ("with its ends", "{:.1%}"),
    "pinball": ("pinball per unit", "{:.4f}"),
}


def level_table(scores: pd.DataFrame) -> str:
    """A markdown table of `level_tables.level_scores`."""
    return markdown(scores, LEVEL_COLUMNS)


def markdown(rows: pd.DataFrame, columns: dict[str, tuple[str, str]]) -> str:
    """A markdown table; `columns` maps a column to its title and format, in order."""
    titles = [title for title, _ in columns.values()]
    cells = [rows[name].map(form.format) for name, (_, form) in columns.items()]
    return table(titles, zip(*cells, strict=True))
