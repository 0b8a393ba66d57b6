"""Pricing policies kept by the hash of their content in `ops/policies`, so that an old price can be decided again."""

from dataclasses import replace

from retail_assets.core.manifest import sha256
from retail_assets.pricing.config import PricingPolicy, load_config
from retail_assets.pricing.decide.rulebook import Rulebook
from retail_assets.provenance.errors import TraceError
from retail_assets.provenance.records import canonical, keep, kept
from retail_assets.resources.lake import Lake

POLICIES = "policies"


def record_policy(lake: Lake, rulebook: Rulebook) -> None:
    """Keeps the policy of `rulebook` under its hash, unless it is kept already."""
    keep(lake, POLICIES, rulebook.policy_hash, canonical(rulebook.policy.model_dump(mode="json", by_alias=True)))


def rulebook_of(lake: Lake, policy_hash: str) -> Rulebook:
    """The rulebook that decided under `policy_hash`; raises TraceError as `policy_of` does."""
    policy = policy_of(lake, policy_hash)
    return replace(Rulebook.of(policy), policy_hash=policy_hash)  # fields added since have no say in its name


def policy_of(lake: Lake, policy_hash: str) -> PricingPolicy:
    """The policy of that hash, whatever configs/pricing.yaml says today.

    Raises TraceError when it was never kept or its text was changed.
    """
    document = kept(lake, POLICIES, policy_hash)
    if document is None:
        current = load_config().policy
        if current.policy_hash == policy_hash:
            return current
        raise TraceError(
            f"the pricing policy {policy_hash[:12]} was not kept",
            where=lake.table_uri("ops", POLICIES),
            todo="put the configs/pricing.yaml of that time back; `retail run` keeps its policy",
        )
    if sha256(document.encode()) != policy_hash:
        raise TraceError(
            f"the pricing policy {policy_hash[:12]} was changed after it was kept",
            where=lake.table_uri("ops", POLICIES),
            todo="restore ops/policies from a backup",
        )
    return PricingPolicy.model_validate_json(document)
