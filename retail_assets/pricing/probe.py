"""One typical question to a stored pricing model, for the gates to see that it answers and how long it takes."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from retail_assets.pricing.config import load_config
from retail_assets.pricing.decisions import Decision, decide_one
from retail_assets.pricing.inputs import DecisionInputs
from retail_assets.pricing.model import PriceModel
from retail_assets.pricing.rulebook import Rulebook


def question(folder: Path) -> Callable[[], Decision]:
    """Loads the model in `folder` and returns a call that decides one price with it under the policy in force.

    Raises PriceModelError when it cannot be loaded.
    """
    model, rulebook = PriceModel.load(folder), Rulebook.of(load_config().policy)
    asked = DecisionInputs(
        store_id="probe",
        sku=model.skus[0] if model.skus else "probe",
        country="US",
        currency="USD",
        business_date=date(2026, 1, 5),
        previous_price=999,
        reference_price=999,
        unit_cost=500,
        base_demand=2.0,
        base_demand_source="forecast",
    )
    return lambda: decide_one(model, rulebook, asked)
