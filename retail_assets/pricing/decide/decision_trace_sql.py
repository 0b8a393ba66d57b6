"""The trail of a whole batch as SQL expressions: the same content as `trail.told`, without a loop over rows."""

from collections.abc import Callable, Mapping
from string import Formatter

from retail_assets.core.guardrails import NO_HIGH, NO_LOW, RULES
from retail_assets.pricing.decide.decision_trace import STATUS_NAMES, Array, Step, outcomes_of
from retail_assets.pricing.decide.sql_text import choice, concat, json_object, json_string, literal


def register_columns(step: Step, index: int) -> dict[str, Array]:
    """The step's arrays under the names that `step_pieces` refers to."""
    own = {n: getattr(step, n) for n in ("statement", "status", "before", "after", "low", "high", "against")}
    return {f"s{index}_{name}": values for name, values in {**own, **step.numbers}.items()}


def step_pieces(step: Step, index: int) -> list[str]:
    """Pieces of the JSON text of one step, equal in content to TrailLine.document()."""
    column = f"s{index}_"
    bounds = {
        name: f"case {column}{name} when {unbounded} then 'null' else {column}{name}::varchar end"
        for name, unbounded in (("low", NO_LOW), ("high", NO_HIGH))
    }
    against = " ".join(f"when {i} then '\"{rule}\"'" for i, rule in enumerate(RULES))
    return json_object(
        [
            ("rule", [literal(f'"{step.rule}"')]),
            ("status", json_string(choice(f"{column}status", STATUS_NAMES))),
            ("before", [f"{column}before::varchar"]),
            ("after", [f"{column}after::varchar"]),
            ("low", [bounds["low"]]),
            ("high", [bounds["high"]]),
            ("against", [f"case {column}against {against} else 'null' end"]),
            ("numbers", json_object([(name, [f"{column}{name}::varchar"]) for name in step.numbers])),
            ("words", json_string(*_words(step, column))),
        ]
    )


def _words(step: Step, column: str) -> list[str]:
    said = enumerate(step.said)
    outcomes = [(int(status), template) for status, template in outcomes_of(step.rule).items() if template]
    return [
        f"case {column}{field} " + " ".join(f"when {i} then {_sql(text, column)}" for i, text in cases) + " else '' end"
        for field, cases in (("statement", list(said)), ("status", outcomes))
        if cases
    ]


def _sql(template: str, column: str) -> str:
    pieces = []
    for text, name, spec, _ in Formatter().parse(template):
        pieces += [literal(text)] if text else []
        pieces += [SQL_FORMATS[spec](column + name)] if name else []
    return concat(pieces)


def _sql_money(value: str) -> str:
    cents = f"(({value})::decimal(16,0) * 0.01::decimal(2,2))::varchar"
    unbounded = f"when {value} in ({NO_LOW}, {NO_HIGH}) then 'any price'"
    return f"case {unbounded} when digits = 2 then {cents} else {value}::varchar end"


def _sql_rule(value: str) -> str:
    rules = " ".join(f"when {i} then '{rule.replace('_', ' ')}'" for i, rule in enumerate(RULES))
    return f"case {value} {rules} else 'the endings' end"


SQL_FORMATS: Mapping[str | None, Callable[[str], str]] = {
    "m": _sql_money,
    "p": lambda value: f"format('{{:g}} %', {value} / 100.0)",
    "f": lambda value: f"format('{{:.2f}}', {value})",
    "i": lambda value: f"{value}::varchar",
    "r": _sql_rule,
}
