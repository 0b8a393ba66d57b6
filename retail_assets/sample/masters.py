"""Master data and price files: catalogue, stores, customers, price lists, promotions, competitors."""

import json
from datetime import date

import numpy as np

from retail_assets.sample.arrays import Bools, Ints
from retail_assets.sample.prices import PriceChange, Rivals
from retail_assets.sample.promotions import Promotions
from retail_assets.sample.text import body, csv_quoted, integers, joined, money, pick, strings
from retail_assets.sample.world import World

COLOUR_FIELD = {"US": "color", "UK": "colour", "DE": "Farbe"}
TIERS = ("basic", "silver", "gold", "platinum")
DISCONTINUATION_NOTICE = 14
CATALOGUE_NOTICE = 12


def catalogue_due(world: World, day: int) -> Ints:
    """SKUs whose record is delivered on `day`: at first all that are about launched, later the new and the ending."""
    skus = world.skus
    if day == 0:
        return np.flatnonzero(skus.launched <= CATALOGUE_NOTICE)
    new = skus.launched == day + CATALOGUE_NOTICE
    return np.flatnonzero(new | (skus.discontinued == day + DISCONTINUATION_NOTICE))


def catalogue_json(world: World, day: int, country: int, due: Ints) -> bytes:
    """Records of one country in its language as a JSON array, one record a line."""
    code = world.codes[country]
    rows = [json.dumps(_product(world, day, code, int(sku)), ensure_ascii=False) for sku in due]
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def _product(world: World, day: int, code: str, sku: int) -> dict[str, object]:
    skus, kind = world.skus, world.categories[world.skus.category[sku]]
    brand = world.config.brands[skus.brand[sku]]
    colour = None if skus.colour[sku] < 0 else world.config.colours[skus.colour[sku]][code]
    ends = int(skus.discontinued[sku])
    pack = float(skus.pack[sku])
    size = f" {pack:g} {kind.unit}" if kind.unit != "pc" else ""
    return {
        "sku": skus.ids[sku],
        "name": f"{brand} {kind.nouns[code]}{' ' + colour if colour else ''}{size} No. {sku + 1}",
        "department": kind.department,
        "category": list(world.config.categories)[skus.category[sku]],
        "brand": brand,
        COLOUR_FIELD[code]: colour,
        "pack_size": pack,
        "unit": kind.unit,
        "price_family": f"F-{int(skus.family[sku]) + 1:04d}",
        "launched_on": world.date_of(int(skus.launched[sku])).isoformat(),
        "discontinued_on": world.date_of(ends).isoformat() if ends <= day + DISCONTINUATION_NOTICE else None,
    }


def stores_csv(world: World) -> bytes:
    """All shops."""
    header = (
        "store_id,name,country,region,city,time_zone,currency,channel,fiscal_calendar,day_ends,opened_on,size_sqm\n"
    )
    shops, rows = world.shops, []
    for shop in range(shops.count):
        country = list(world.config.countries.values())[shops.country[shop]]
        city, region, zone = shops.cities[shop][:3]
        channel = "web" if shops.web[shop] else "store"
        rows.append(
            f"{shops.ids[shop]},{shops.names[shop]},{world.codes[shops.country[shop]]},{region},{city},{zone},"
            f"{country.currency},{channel},{country.fiscal_calendar},,{shops.opened_on[shop].isoformat()},{shops.sqm[shop]}\n"
        )
    return "".join([header + "\n", *rows]).encode()


def customers_due(world: World, day: int) -> Ints:
    """Customers whose record is delivered on `day`: on the first those of before, then monthly the new ones."""
    people = world.people
    return np.flatnonzero(people.joined < 0 if day == 0 else (people.joined >= 0) & (people.known_from == day + 1))


def customers_jsonl(world: World, due: Ints) -> bytes:
    """Customers as JSON lines."""
    people, shops = world.people, world.shops
    dates = _dates(world, people.joined[due])
    rows = joined(
        '{"customer_id":"', pick(strings(people.ids), due),
        '","country":"', pick(strings(world.codes), shops.country[people.home[due]]),
        '","home_store_id":"', pick(strings(shops.ids), people.home[due]),
        '","joined_on":"', strings(dates),
        '","loyalty_tier":"', pick(strings(TIERS), people.tier[due]), '"}\n',
    )  # fmt: skip
    return body(rows)


def _dates(world: World, days: Ints) -> list[str]:
    first = np.datetime64(world.config.first_day)
    return [str(text) for text in np.datetime_as_string(first + days.astype("timedelta64[D]"))]


def prices_csv(world: World, country: int, change: PriceChange) -> tuple[bytes, int]:
    """New list prices and unit costs of one country; empty when none of its prices changes."""
    due = np.flatnonzero(change.changed[country])
    code, money_code = world.codes[country], list(world.config.countries.values())[country].currency
    effective = _dates(world, np.maximum(change.effective, world.skus.launched[due]))
    rows = joined(
        f"{code},", pick(strings(world.skus.ids), due), ",", strings(effective), ",",
        money(change.cents[country, due]), ",", money(world.skus.cost[country, due]), f",{money_code}\n",
    )  # fmt: skip
    return b"country,sku,effective_on,list_price,unit_cost,currency\n" + body(rows), due.size


def promotions_csv(world: World, country: int, fresh: Promotions) -> tuple[bytes, int]:
    """Promotions of one country that were announced today."""
    due = np.flatnonzero(fresh.country == country)
    rows = joined(
        pick(csv_quoted([*fresh.codes, ""]), due), f",{world.codes[country]},",
        pick(strings(world.skus.ids), fresh.sku[due]), ",",
        strings(_dates(world, fresh.first[due])), ",", strings(_dates(world, fresh.last[due])), ",",
        integers(fresh.percent[due]), ",", strings(_dates(world, fresh.announced[due])), "\n",
    )  # fmt: skip
    return b"promo_code,country,sku,starts_on,ends_on,discount_pct,announced_on\n" + body(rows), due.size


def competitors_csv(world: World, country: int, on: date, rivals: Rivals, listed: Bools) -> tuple[bytes, int]:
    """This week's prices of both competitors for what they and we sell."""
    known = ~np.isnan(rivals.prices[country]) & listed
    rival, sku = np.nonzero(known)
    nation = list(world.config.countries.values())[country]
    cents = rivals.prices[country, rival, sku].astype(np.int64)
    rows = joined(
        f"{world.codes[country]},", pick(strings(nation.competitors), rival), ",",
        pick(strings(world.skus.ids), sku), f",{on.isoformat()},", money(cents), f",{nation.currency}\n",
    )  # fmt: skip
    return b"country,competitor,sku,observed_on,price,currency\n" + body(rows), len(rows)
