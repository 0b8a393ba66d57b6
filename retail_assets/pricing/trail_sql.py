"""The trail of a whole batch as SQL expressions: the same content as `trail.lines_of`, without a loop over rows."""

from collections.abc import Callable, Mapping
from string import Formatter

from retail_assets.core.guardrails import NO_HIGH, NO_LOW, RULES
from retail_assets.pricing.trail import STATEMENTS, STATUS_NAMES, Array, Step, outcomes_of


def register_columns(step: Step, index: int) -> dict[str, Array]:
    """The step's arrays under the names that `step_json` and `step_words` refer to."""
    own = {n: getattr(step, n) for n in ("statement", "status", "before", "after", "low", "high", "against")}
    return {f"s{index}_{name}": values for name, values in {**own, **step.numbers}.items()}


def step_json(step: Step, index: int) -> str:
    """A SQL expression for the JSON text of one step, equal in content to TrailLine.document()."""
    column = f"s{index}_"
    numbers = " || ',' || ".join(f"'\"{name}\":' || {column}{name}" for name in step.numbers) or "''"
    rules = " ".join(f"when {i} then '\"{rule}\"'" for i, rule in enumerate(RULES))
    statuses = " ".join(f"when {i} then '{name}'" for i, name in enumerate(STATUS_NAMES))
    return (
        f'\'{{"rule":"{step.rule}","status":"\' || case {column}status {statuses} end'
        f' || \'","before":\' || {column}before || \',"after":\' || {column}after'
        f" || ',\"low\":' || case {column}low when {NO_LOW} then 'null' else {column}low::varchar end"
        f" || ',\"high\":' || case {column}high when {NO_HIGH} then 'null' else {column}high::varchar end"
        f" || ',\"against\":' || case {column}against {rules} else 'null' end"
        f" || ',\"numbers\":{{' || {numbers} || '}},\"words\":\"' || {step_words(step, index)} || '\"}}'"
    )


def step_words(step: Step, index: int) -> str:
    """A SQL expression for the words of one step."""
    column = f"s{index}_"
    said = " ".join(f"when {i} then {_sql(template, column)}" for i, template in enumerate(STATEMENTS[step.rule]))
    outcome = " ".join(f"when {int(s)} then {_sql(template, column)}" for s, template in outcomes_of(step.rule).items())
    return f"(case {column}statement {said} end || case {column}status {outcome} end)"


def _sql(template: str, column: str) -> str:
    parts = []
    for text, name, spec, _ in Formatter().parse(template):
        if text:
            parts.append("'" + text.replace("'", "''") + "'")
        if name:
            parts.append(SQL_FORMATS[spec](column + name))
    return " || ".join(parts) or "''"


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
    "r": _sql_rule,
}
