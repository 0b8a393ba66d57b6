"""The effects that explain demand, as they are kept."""

from dataclasses import dataclass

from retail_assets.forecasting.baseline.baseline_days import Floats


@dataclass(frozen=True)
class Structure:
    """Effects; logs unless said otherwise. `elasticity`, `lift`, `usual_price` (log) and `prior` (units) per series.

    `weekday` (shelves, 7) is a factor, `season` (categories, 2) the weights of a yearly wave, `events` (countries,
    departments, EVENTS), `level` (S,) units a day, `dispersion` the variance beyond Poisson's as a share of mean^2.
    """

    level: Floats
    prior: Floats
    weekday: Floats
    season: Floats
    events: Floats
    elasticity: Floats
    lift: Floats
    usual_price: Floats
    dispersion: float
