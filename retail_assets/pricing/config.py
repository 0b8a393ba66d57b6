"""configs/pricing.yaml: what prices aim at, what they may never do, and how demand response is learnt."""

import hashlib
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import read_model
from retail_assets.resources.environments import PROJECT_ROOT

CONFIG_FILE = PROJECT_ROOT / "configs" / "pricing.yaml"
DEFAULT_MARKET = "default"
WORD = re.compile(r"\w+")

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Confidence = Annotated[float, Field(ge=0.5, lt=1.0)]
Learnt = Literal["learnt"]
Objective = Literal["margin", "revenue", "clearance", "keep"]
OBJECTIVES: tuple[Objective, ...] = ("margin", "revenue", "clearance", "keep")
TargetLevel = Literal["item", "category"]
Band = tuple[Annotated[float, Field(ge=0.0)], Annotated[float, Field(ge=0.0)]]


class PricingConfigError(RetailError):
    """configs/pricing.yaml has an unknown key or an impossible value."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CategoryPolicy(_Frozen):
    """The rules of one category, all set. Bands are (low, high) shares of what they refer to.

    `margin_target` is asked for by the objective `revenue` and holds for each item or, with `target_level: category`,
    for a category's items in a store together; `clear_by` (the last day of sale) is asked for by `clearance`, planned
    on no more demand than is reached with the probability `clear_confidence`. With `family_steps` a pack that is out of
    order by more than one step comes nearer to it by steps; without, it stays. An item gets a new price only where at
    least `own_weight` of its elasticity comes from its own sales (clearances apart). With `hold_out_of_stock` what is
    out of stock gets no cheaper.
    """

    objective: Objective
    margin_target: Share | None = None
    clear_by: date | None = None
    clear_confidence: Confidence = 0.8
    margin_floor: Share
    max_change: Share
    max_change_week: Share
    price_range: Band
    competitor_band: Band
    minimum_gain: Annotated[float, Field(ge=0.0)]
    assumed_margin: Share | None
    hold_during_promotion: bool
    substitution: Share | Learnt = 0.0
    target_level: TargetLevel = "item"
    family_steps: bool = False
    own_weight: Share = 0.0
    hold_out_of_stock: bool = False

    @field_validator("price_range", "competitor_band")
    @classmethod
    def _ordered(cls, band: Band) -> Band:
        if not 0.0 <= band[0] <= 1.0 <= band[1]:
            raise ValueError(f"{list(band)} must be [low, high] with low <= 1 <= high")
        return band

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _require(self)
        return self


class PolicyOverride(_Frozen):
    """What a department or category sets differently; absent means as in the wider level."""

    objective: Objective | None = None
    margin_target: Share | None = None
    clear_by: date | None = None
    clear_confidence: Confidence | None = None
    margin_floor: Share | None = None
    max_change: Share | None = None
    max_change_week: Share | None = None
    price_range: Band | None = None
    competitor_band: Band | None = None
    minimum_gain: Annotated[float, Field(ge=0.0)] | None = None
    assumed_margin: Share | None = None
    hold_during_promotion: bool | None = None
    substitution: Share | Learnt | None = None
    target_level: TargetLevel | None = None
    family_steps: bool | None = None
    own_weight: Share | None = None
    hold_out_of_stock: bool | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _require(self)
        return self


def _require(level: CategoryPolicy | PolicyOverride) -> None:
    """What an objective needs stands beside it."""
    if level.objective == "revenue" and level.margin_target is None:
        raise ValueError("the objective revenue needs margin_target beside it")
    if level.objective == "clearance" and level.clear_by is None:
        raise ValueError("the objective clearance needs clear_by beside it")


class Cap(_Frozen):
    """A highest price by law or emergency order, from its first to its last business date (both included)."""

    country: str | None = None
    department: str | None = None
    category: str | None = None
    max_price: Decimal | None = Field(default=None, gt=0)
    max_increase: float | None = Field(default=None, ge=0.0)
    first_day: date = Field(alias="from")
    last_day: date = Field(alias="until")
    reason: str

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.max_price is None) == (self.max_increase is None):
            raise ValueError("give either max_price or max_increase")
        if self.last_day < self.first_day:
            raise ValueError(f"until {self.last_day} is before from {self.first_day}")
        return self


class FixedPrices(_Frozen):
    """What a law or a licence prices, and no model: departments and categories by the words in their names.

    A name holds where its words stand together in the name of the department or category, in any case; in the listed
    `countries`, or in all.
    """

    names: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    countries: list[str] = []
    reason: str = Field(min_length=1)

    def covers(self, country: str, department: str, category: str) -> bool:
        """Whether prices of this category are fixed in `country`."""
        if self.countries and country not in self.countries:
            return False
        said = [f" {' '.join(WORD.findall(text.casefold()))} " for text in (department, category)]
        named = [f" {' '.join(WORD.findall(name.casefold()))} " for name in self.names]
        return any(name in text for name in named for text in said)


class EndingBand(_Frozen):
    """Allowed endings of prices below `below`: one of `at` within every `every`."""

    below: Decimal = Field(gt=0)
    every: Decimal = Field(gt=0)
    at: list[Decimal] = Field(min_length=1)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if any(not 0 <= ending < self.every for ending in self.at):
            raise ValueError(f"every ending must be at least 0 and below {self.every}")
        return self


class Market(_Frozen):
    """A country: the value-added tax inside shelf prices and its price endings, lowest band first.

    `digits` are the decimal places of its currency.
    """

    tax: Decimal = Field(ge=0, lt=1)
    digits: Literal[0, 2] = 2
    endings: list[EndingBand] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        limits = [band.below for band in self.endings]
        if limits != sorted(set(limits)):
            raise ValueError("the bands of endings must ascend")
        return self


class ExplorationPolicy(_Frozen):
    """How many prices are set to learn from them; units are explained in configs/pricing.yaml. Off by default."""

    share: Share = 0.0
    method: Literal["thompson", "ends"] = "thompson"
    minimum_width: float = Field(default=0.5, gt=0)
    hold_days: int = Field(default=7, ge=1)
    never_departments: list[str] = []
    never_categories: list[str] = []


class PricingPolicy(_Frozen):
    """Everything a decision depends on apart from its inputs and its model."""

    defaults: CategoryPolicy
    departments: dict[str, PolicyOverride] = {}
    categories: dict[str, PolicyOverride] = {}
    caps: list[Cap] = []
    fixed_by_law: list[FixedPrices] = []
    exploration: ExplorationPolicy = ExplorationPolicy()
    markets: dict[str, Market]

    @model_validator(mode="after")
    def _has_default_market(self) -> Self:
        if DEFAULT_MARKET not in self.markets:
            raise ValueError(f"markets need one named {DEFAULT_MARKET!r}")
        return self

    def rules_of(self, department: str | None, category: str | None) -> CategoryPolicy:
        """The rules of a category: its own over its department's over the defaults."""
        levels = [self.departments.get(department or ""), self.categories.get(category or "")]
        update: dict[str, Any] = {}
        for level in levels:
            update |= level.model_dump(exclude_none=True) if level else {}
        return self.defaults.model_copy(update=update)

    @property
    def assumes_substitution(self) -> bool:
        """Whether any price counts on a cross-elasticity that a person has set."""
        return any(level.substitution not in (None, 0.0, "learnt") for level in self._levels)

    @property
    def learns_substitution(self) -> bool:
        """Whether any price counts on the cross-elasticity that its model has learnt."""
        return any(level.substitution == "learnt" for level in self._levels)

    @property
    def _levels(self) -> list[CategoryPolicy | PolicyOverride]:
        return [self.defaults, *self.departments.values(), *self.categories.values()]

    @property
    def holds_out_of_stock(self) -> bool:
        """Whether any category holds the price of what is out of stock: the trail then has a line for it."""
        return any(level.hold_out_of_stock for level in self._levels)

    def fixed(self, country: str, department: str, category: str) -> FixedPrices | None:
        """The law or licence that fixes the prices of a category in a country, None where it is free."""
        return next((each for each in self.fixed_by_law if each.covers(country, department, category)), None)

    @property
    def shares_targets(self) -> bool:
        """Whether any category has a margin target that its items reach together."""
        wanted = any(level.objective == "revenue" for level in self._levels)
        return wanted and any(level.target_level == "category" for level in self._levels)

    def market_of(self, country: str) -> str:
        """The name of the market whose endings and tax hold in `country`."""
        return country if country in self.markets else DEFAULT_MARKET

    @property
    def policy_hash(self) -> str:
        """sha256 of the canonical JSON of this policy, 64 hex characters."""
        document = self.model_dump(mode="json", by_alias=True)
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


class ResponseConfig(_Frozen):
    """How demand response is learnt; units are explained in configs/pricing.yaml."""

    seed: int
    history_days: int = Field(ge=28)
    minimum_sale_days: int = Field(ge=1)
    season_group_skus: int = Field(ge=1)
    iterations: int = Field(ge=5)
    tolerance: float = Field(gt=0)
    elasticity_ceiling: float = Field(lt=0)
    retrain_after_days: int = Field(ge=1)
    holdout_days: int = Field(ge=7)


Mode = Literal["shadow", "approve", "automatic"]


class BreakerNumbers(_Frozen):
    """A figure for each number of a batch, e. g. the largest that is published without a person."""

    changed: Annotated[float, Field(gt=0.0, le=1.0)]
    mean_change: Annotated[float, Field(gt=0.0)]
    changed_revenue: Annotated[float, Field(gt=0.0, le=1.0)]
    mean_change_revenue: Annotated[float, Field(gt=0.0)]
    at_guardrail: Annotated[float, Field(gt=0.0, le=1.0)]
    revenue_at_risk: Annotated[float, Field(gt=0.0)]
    promised_gain: Annotated[float, Field(gt=0.0)]


class BreakerConfig(_Frozen):
    """When a batch is held back; units are explained in configs/pricing.yaml."""

    limits: BreakerNumbers
    sigma: float = Field(gt=0)
    category_sigma: float = Field(gt=0)
    least_deviation: BreakerNumbers
    minimum_batches: int = Field(ge=2)
    history: int = Field(ge=2)
    minimum_rows: int = Field(ge=1)


class PaidConfig(_Frozen):
    """How near decided prices are to be to what customers paid in the last `days`: least shares of revenue.

    Fewer than `minimum_items` items that can be compared prove nothing.
    """

    days: int = Field(ge=1)
    within_10: Share
    within_30: Share
    minimum_items: int = Field(ge=1)


class IntegrityConfig(_Frozen):
    """When a price at the till is wrong, and how many may be."""

    days: int = Field(ge=1)
    tolerance: Decimal = Field(ge=0)
    against: Literal["listed", "published"]
    wrong_share: Share


class PublicationConfig(_Frozen):
    """Whether decided prices leave the house: the mode of each store and the circuit breaker."""

    mode: Mode
    stores: dict[str, Mode] = {}
    breaker: BreakerConfig
    paid: PaidConfig
    integrity: IntegrityConfig

    def mode_of(self, store_id: str) -> Mode:
        """The store's own mode, else the one of all."""
        return self.stores.get(store_id, self.mode)


class PricingConfig(PricingPolicy):
    """All of configs/pricing.yaml."""

    response: ResponseConfig
    publication: PublicationConfig

    @property
    def policy(self) -> PricingPolicy:
        """The part that decisions depend on, and that `policy_hash` names."""
        return PricingPolicy.model_validate(self.model_dump(by_alias=True, exclude={"response", "publication"}))


def load_config(path: Path = CONFIG_FILE) -> PricingConfig:
    """Reads and checks a pricing configuration; raises PricingConfigError that names the file and every bad key."""
    return read_model(path, PricingConfig, PricingConfigError)[0]
