"""Pure decisions, contracts and calendars: imports no dagster, feast or bentoml."""
