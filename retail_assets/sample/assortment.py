"""The SKUs of the sample retailer with the truth about their demand."""

from dataclasses import dataclass

import numpy as np

from retail_assets.sample.arrays import Bools, Floats, Ints, Stream, rng_for
from retail_assets.sample.config import SampleConfig, Scale

TASTES = 6
NEVER = 1_000_000
MINIMUM_CENTS = 89


@dataclass(frozen=True)
class Assortment:
    """Arrays over SKUs (last axis); prices in minor units of the country's currency, days counted from the first."""

    ids: list[str]
    category: Ints
    department: Ints
    brand: Ints
    colour: Ints
    pack: Floats
    family: Ints
    base: Floats
    own: Floats
    cross: Floats
    rival: Floats
    promo: Floats
    trend: Floats
    degree: Floats
    noise: Floats
    lot: Floats
    returned: Floats
    launched: Ints
    discontinued: Ints
    taste: Floats
    reference: Ints
    cost: Ints

    @property
    def count(self) -> int:
        """Number of SKUs over all days."""
        return len(self.ids)

    def listed(self, day: int) -> Bools:
        """Which SKUs are on the list on `day`."""
        return (self.launched <= day) & (day < self.discontinued)


def price_ending(amount: Floats) -> Ints:
    """Amounts (minor units) moved to the nearest ending: .x9 below 20, .99 above. Never under MINIMUM_CENTS."""
    step = np.where(amount >= 2000, 100, 10)
    return np.maximum(np.round(amount / step) * step - 1, MINIMUM_CENTS).astype(np.int64)


def _lifetimes(rng: np.random.Generator, scale: Scale) -> tuple[Ints, Ints]:
    """Launch and discontinuation days: 8 % launched and 6 % discontinued while the shops are open."""
    fate = rng.random(scale.skus)
    launched = -rng.integers(100, 1500, scale.skus)
    inside = rng.integers(int(scale.days * 0.15), int(scale.days * 0.7), scale.skus)
    late = rng.integers(int(scale.days * 0.5), int(scale.days * 0.9), scale.skus)
    launched = np.where(fate < 0.08, inside, launched)
    discontinued = np.where((fate >= 0.08) & (fate < 0.14), late, NEVER)
    return launched, discontinued


def _base_rates(rng: np.random.Generator, weight: Floats, lot: Floats, lines: float) -> Floats:
    """Units per day in a store of size 1, so that the lines of all SKUs sum to `lines`."""
    raw = weight * np.exp(rng.normal(0, 0.75, weight.size))
    return np.asarray(raw * lines / (raw / lot).sum())


def _prices(rng: np.random.Generator, config: SampleConfig, category: Ints) -> tuple[Ints, Ints]:
    """Reference price and unit cost, both (country, SKU); the cost stays under the lowest list price."""
    kinds = list(config.categories.values())
    low, high = (np.array([k.price[i] for k in kinds])[category] for i in (0, 1))
    dollars = low * (high / low) ** rng.random(category.size)
    levels = np.array([c.price_level for c in config.countries.values()])[:, None]
    reference = price_ending(100 * dollars * levels * np.exp(rng.normal(0, 0.03, (levels.size, category.size))))
    margin = np.array([k.margin for k in kinds])[category] + rng.uniform(-0.03, 0.03, category.size)
    return reference, np.floor(reference * (1 - margin)).astype(np.int64)


def stock_assortment(seed: int, scale: Scale, config: SampleConfig) -> Assortment:
    """Draws the SKUs; every category gets its share in turn, elasticities scatter around the category's mean."""
    rng = rng_for(seed, Stream.SKUS)
    kinds = list(config.categories.values())
    departments = list(config.departments)
    category = np.arange(scale.skus) % len(kinds)

    def of(values: list[float]) -> Floats:
        return np.array(values, dtype=np.float64)[category]

    lot = of([k.lot for k in kinds])
    base = _base_rates(rng, of([k.weight for k in kinds]), lot, scale.store_lines)
    reference, cost = _prices(rng, config, category)
    launched, discontinued = _lifetimes(rng, scale)
    centres = rng.normal(0, 0.8, (len(kinds), TASTES))
    coloured = of([float(k.department in ("garden", "apparel")) for k in kinds]) > 0
    return Assortment(
        ids=[f"SKU-{number + 1:05d}" for number in range(scale.skus)],
        category=category,
        department=np.array([departments.index(k.department) for k in kinds])[category],
        brand=rng.integers(0, len(config.brands), scale.skus),
        colour=np.where(coloured, rng.integers(0, len(config.colours), scale.skus), -1),
        pack=np.array([kinds[c].packs[i % len(kinds[c].packs)] for i, c in enumerate(category)]),
        family=np.arange(scale.skus) // (2 * len(kinds)) * len(kinds) + category,
        base=base,
        own=np.clip(of([k.own for k in kinds]) + rng.normal(0, 0.3, scale.skus), -4.0, -0.7),
        cross=np.clip(of([k.cross for k in kinds]) + rng.normal(0, 0.05, scale.skus), 0.0, None),
        rival=np.clip(of([k.rival for k in kinds]) + rng.normal(0, 0.04, scale.skus), 0.0, None),
        promo=of([k.promo for k in kinds]),
        trend=rng.normal(0, 0.12, scale.skus),
        degree=of([k.degree for k in kinds]),
        noise=of([k.noise for k in kinds]),
        lot=lot,
        returned=of([k.returned for k in kinds]),
        launched=launched,
        discontinued=discontinued,
        taste=centres[category] + rng.normal(0, 0.5, (scale.skus, TASTES)),
        reference=reference,
        cost=cost,
    )
