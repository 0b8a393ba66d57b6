"""Sixty days of daily re-pricing in the sample retailer's true market: what the engine earns of what could be earned.

    .venv/bin/python benchmarks/pricing_closed_loop.py [--seeds N] [--history DAYS]
        [--constant] [--share SHARE ...] [--substitution CROSS ...] [--retrain DAYS ...]

Every pricer starts after the same history, meets the same demand, competitors, promotions and deliveries, and obeys the
same guardrails. The clairvoyant knows every elasticity and what a price does to the rest of its category. Profit is
expected from true demand at the prices paid; "list" leaves out items on promotion, "till" counts what chance and stock
let the tills ring up. The clairvoyant does not plan for stock-outs, nor raise a price before a promotion is taken off
it: a share of these may pass 100 %. The engine learns substitution from the history as it ships; `--substitution` sets
it by hand (0: each item alone). The peers are fixed prices and a Thompson bandit with arms per store-SKU.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.closed_loop.loop import Earned, Start, run
from benchmarks.closed_loop.market import Market
from benchmarks.closed_loop.pricers import Bandit, Clairvoyant, Engine, Fixed, Pricer
from retail_assets.pricing.config import PricingConfig, load_config
from retail_assets.sample.arrays import Floats
from retail_assets.sample.config import Scale

DAYS, ALL, LATE = 60, slice(None), slice(40, None)
CLAIRVOYANT, ENGINE = "clairvoyant", "engine, no exploration"
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 12: 2.20, 16: 2.13, 20: 2.09}


def scale(history: int, skus: int = 160) -> Scale:
    """Three stores with the sales per item of the demo retailer, eight SKUs in each category."""
    lines, web = 250 / 300 * skus, 135 / 300 * skus
    return Scale(
        name="closed loop", stores={"US": 1, "UK": 1, "DE": 1}, skus=skus, days=history + DAYS, customers=100,
        store_lines=lines, web_lines=web, web_sessions=30,
    )  # fmt: skip


def exploring(config: PricingConfig, share: float, method: str = "thompson") -> PricingConfig:
    """The configuration with exploration of `share`, everything else as it ships."""
    exploration = config.exploration.model_copy(update={"share": share, "method": method})
    return config.model_copy(update={"exploration": exploration})


def pricers(
    config: PricingConfig, shares: list[float], substitution: list[float], retrain: list[int], seed: int, folder: Path
) -> dict[str, Callable[[Market], Pricer]]:
    """What is compared, by name; the first is the yardstick."""
    found: dict[str, Callable[[Market], Pricer]] = {
        CLAIRVOYANT: lambda market: Clairvoyant(config, market),
        "clairvoyant, each item alone": lambda market: Clairvoyant(config, market, joint=False),
        "fixed prices": lambda _: Fixed(),
        "Thompson bandit": lambda market: Bandit(config, market, seed),
    }
    for share in [0.0, *shares]:
        for method in ("thompson", "ends") if share else ("thompson",):
            name = f"engine, {method} {share:.0%}" if share else ENGINE
            settings, home = exploring(config, share, method), folder / f"{seed}-{share}-{method}"
            found[name] = lambda _, c=settings, h=home: Engine(c, h)  # type: ignore[misc]
    for assumed in substitution:
        counting = config.model_copy(update={"defaults": config.defaults.model_copy(update={"substitution": assumed})})
        name, home = f"engine, substitution {assumed:g}", folder / f"{seed}-substitution-{assumed}"
        found[name] = lambda _, c=counting, h=home: Engine(c, h)  # type: ignore[misc]
    for days in retrain:
        name, home = f"engine, trained every {days} days", folder / f"{seed}-every-{days}"
        found[name] = lambda _, n=days, h=home: Engine(config, h, refit_days=n)  # type: ignore[misc]
    return found


def report(earned: dict[str, list[Earned]]) -> None:
    """Prints each pricer's share of the clairvoyant's profit and its paired difference to the engine."""
    best = earned[CLAIRVOYANT]
    shares = {name: _shares(runs, best, "expected") for name, runs in earned.items()}
    late = {name: _shares(runs, best, "expected", LATE) for name, runs in earned.items()}
    print("Shares of the clairvoyant's profit, means over seeds; the engine's lead in points with its 95 % interval")
    print(f"{'pricer':<30} {'profit':>7} {'worst':>7} {'list':>7} {'till':>7}  {'lead':<24} {'last 20 days':<13} lead")
    for name, found in shares.items():
        till, listed = (_shares(earned[name], best, what).mean() for what in ("till", "at_list"))
        leads = ["", ""] if name in (ENGINE, CLAIRVOYANT) else [_interval(s[ENGINE] - s[name]) for s in (shares, late)]
        figures = f"{found.mean():>7.1%} {found.min():>7.1%} {listed:>7.1%} {till:>7.1%}"
        print(f"{name:<30} {figures}  {leads[0]:<24} {late[name].mean():<13.1%} {leads[1]}".rstrip())


def _shares(runs: list[Earned], best: list[Earned], what: str, days: slice = ALL) -> Floats:
    pairs = zip(runs, best, strict=True)
    return np.array([getattr(a, what)[days].sum() / getattr(b, what)[days].sum() for a, b in pairs])


def _interval(difference: Floats) -> str:
    points, seeds = 100 * difference, len(difference)
    if seeds < 2:
        return f"{points[0]:+.2f}"
    reach = T_95[max(n for n in T_95 if n <= seeds)] * points.std(ddof=1) / np.sqrt(seeds)
    return f"{points.mean():+.2f} ({points.mean() - reach:+.2f} to {points.mean() + reach:+.2f})"


def main() -> None:
    """Runs every pricer on every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--history", type=int, default=365, help="days that the first model is learnt from")
    parser.add_argument("--share", type=float, nargs="*", default=[0.05], help="exploration shares to try")
    parser.add_argument("--constant", action="store_true", help="a history in which only promotions move prices")
    parser.add_argument("--substitution", type=float, nargs="*", default=[0.0], help="cross-elasticities to assume")
    parser.add_argument("--retrain", type=int, nargs="*", default=[], help="days between trainings to try beside 7")
    asked = parser.parse_args()
    config, earned = load_config(), {}
    for seed in range(1, asked.seeds + 1):
        start = Start.after(seed, scale(asked.history), asked.history, asked.constant)
        with tempfile.TemporaryDirectory() as folder:
            for name, pricer_of in pricers(
                config, asked.share, asked.substitution, asked.retrain, seed, Path(folder)
            ).items():
                earned.setdefault(name, []).append(run(start, pricer_of, DAYS))
        items, best = start.market.ranged(asked.history).sum(), earned[CLAIRVOYANT][-1:]
        found = {name: f"{_shares(runs[-1:], best, 'expected')[0]:.1%}" for name, runs in earned.items()}
        print(f"seed {seed}, {items} store-SKUs: {', '.join(f'{n} {s}' for n, s in found.items())}", flush=True)
    report(earned)


if __name__ == "__main__":
    main()
