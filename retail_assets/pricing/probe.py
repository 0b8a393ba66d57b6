"""Questions to a stored pricing model before it may answer: is it sound, and how long does a typical answer take?"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from retail_assets.pricing.config import load_config
from retail_assets.pricing.decide.decisions import Decision, decide_one
from retail_assets.pricing.decide.inputs import DecisionInputs
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.pricing.response.model import PriceModel
from retail_assets.pricing.response.soundness import refuse_measures, require

ASKED_SKUS, NAMED = 50, 5
PREVIOUS, DEMANDS = 999, (0.0, 2.0, 900.0)  # pence, units a day


def question(folder: Path) -> Callable[[], Decision]:
    """Loads the model in `folder` and returns a call that decides one price with it under the policy in force.

    Raises PriceModelError when it cannot be loaded.
    """
    model, rulebook = PriceModel.load(folder), Rulebook.of(load_config().policy)
    asked = _asked(model.skus[0] if model.skus else "probe", DEMANDS[1])
    return lambda: decide_one(model, rulebook, asked)


def examine(folder: Path) -> None:
    """Raises PriceModelError unless every row of the model is sound and it decides prices that can be.

    Every elasticity is a finite number below zero inside its interval, whoever released the version.
    """
    model, rulebook = PriceModel.load(folder), Rulebook.of(load_config().policy)
    rows, skus = model.unsound()
    named = ", ".join(skus[:NAMED])
    require(
        rows == 0, f"{rows:,} elasticities are not below zero inside their interval{f' ({named})' if named else ''}"
    )
    refuse_measures(np.concatenate([model.table, model.local.table]), model.substitution)
    step = max(len(model.skus) // ASKED_SKUS, 1)
    for number, sku in enumerate(("probe", *model.skus[::step])):
        decision = decide_one(model, rulebook, _asked(sku, DEMANDS[number % len(DEMANDS)]))
        require(decision.price > 0, f"it decides a price of {decision.price} for {sku}")


def _asked(sku: str, demand: float) -> DecisionInputs:
    return DecisionInputs(
        store_id="probe",
        sku=sku,
        country="US",
        currency="USD",
        business_date=date(2026, 1, 5),
        previous_price=PREVIOUS,
        reference_price=PREVIOUS,
        unit_cost=PREVIOUS // 2,
        base_demand=demand,
        base_demand_source="forecast",
    )
