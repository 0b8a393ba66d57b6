"""Shoppers buy what they like, and fraud adapts and is told of late."""

import numpy as np
import pandas as pd
import pytest

from retail_assets.resources.environments import Home
from tests.sample.sample_files import clean_pos, csv_table, sql, truth


@pytest.fixture(scope="module")
def payments(middle: Home) -> pd.DataFrame:
    paid = sql(f"select distinct * from '{middle.landing}/payments/*.parquet'")
    return paid.merge(truth(middle, "fraud"), on="payment_id", how="left")


def test_customers_buy_what_they_like(middle: Home) -> None:
    tastes = truth(middle, "tastes")
    vectors = {kind: dict(zip(g["id"], g["taste"], strict=True)) for kind, g in tastes.groupby("kind")}
    sales = clean_pos(middle).query("quantity > 0 and customer_id != ''").head(20_000)
    customers = np.stack([vectors["customer"][c] for c in sales["customer_id"]])
    skus = np.stack([vectors["sku"][s] for s in sales["sku"]])
    liked = (customers * skus).sum(axis=1).mean()
    by_chance = (customers * np.roll(skus, 997, axis=0)).sum(axis=1).mean()
    assert liked > by_chance + 0.5


def test_fraud_changes_its_pattern_in_thirds(payments: pd.DataFrame) -> None:
    odd = payments.dropna(subset=["kind"])
    third = pd.cut(odd["paid_at"].rank(), 3, labels=False)
    planted = odd[odd["kind"].isin(["stolen_card_burst", "account_takeover", "compromised_merchant"])]
    leading = [group.mode()[0] for _, group in planted.groupby(third[planted.index])["kind"]]
    assert leading == ["stolen_card_burst", "account_takeover", "compromised_merchant"]


def test_fraud_is_rare_and_of_every_kind(payments: pd.DataFrame) -> None:
    share = payments["kind"].notna().mean()
    assert 0.003 < share < 0.03
    kinds = {"stolen_card_burst", "account_takeover", "compromised_merchant", "friendly_fraud", "dispute"}
    assert set(payments["kind"].dropna()) == kinds
    assert not payments.loc[payments["kind"] == "dispute", "is_fraud"].any()


def test_each_kind_shows_its_pattern(payments: pd.DataFrame) -> None:
    good = payments[payments["kind"].isna()]
    by_kind = dict(iter(payments.groupby("kind")))
    takeover, merchant, burst = (by_kind[k] for k in ("account_takeover", "compromised_merchant", "stolen_card_burst"))
    amount = {name: f["amount"].astype(float).median() for name, f in (("good", good), ("over", takeover))}
    assert amount["over"] > 2 * amount["good"]
    assert merchant["amount"].astype(float).mean() < good["amount"].astype(float).mean()
    assert burst["is_online"].all() and takeover["is_online"].all() and not merchant["is_online"].all()
    abroad = ~burst["ip_country"].isin(["US", "UK", "DE"])
    assert abroad.mean() > 0.6
    assert merchant["card_token"].duplicated().any()
    per_token = burst.groupby(["card_token", burst["paid_at"].dt.date])["paid_at"]
    assert (per_token.max() - per_token.min()).max() < pd.Timedelta(hours=2)
    assert per_token.size().median() >= 3


def test_chargebacks_come_3_to_40_days_later(middle: Home, payments: pd.DataFrame) -> None:
    reports = csv_table(middle, "chargebacks/*.csv", parse_dates=["reported_on"])
    assert reports["payment_id"].is_unique
    joined = reports.merge(payments, on="payment_id")
    assert len(joined) > 0.95 * len(reports)
    paid_on = pd.to_datetime(joined["receipt_id"].str.extract(r"-(\d{8})-")[0])
    delay = (joined["reported_on"] - paid_on).dt.days
    assert delay.between(3, 40).all() and delay.max() > 20
    assert joined["kind"].notna().all()
    unreported = payments[payments["is_fraud"].eq(True) & payments["chargeback_on"].isna()]
    assert len(unreported) > 0


def test_tokens_are_letters_only(payments: pd.DataFrame) -> None:
    tokens = payments["card_token"].dropna()
    assert tokens.str.fullmatch(r"tok_[a-z]{14}").all()
    assert (payments["card_token"].isna() == (payments["method"] == "invoice")).all()
    assert set(payments["method"]) == {"card", "wallet", "invoice"}


def test_stores_know_no_ip_address(payments: pd.DataFrame) -> None:
    assert (payments["ip_country"].notna() == payments["is_online"]).all()
    assert payments["device_id"].notna().all()
