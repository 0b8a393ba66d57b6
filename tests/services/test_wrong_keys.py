"""Wrong keys and tokens are answered more and more seldom, right ones always, and memory stays bounded."""

from pathlib import Path

import httpx
import pytest

from retail_assets.resources.environments import Home
from retail_assets.serving.config import ServingConfig
from retail_assets.serving.connections import address_buckets
from retail_assets.serving.connections.address_buckets import AddressBuckets
from retail_assets.serving.gateway.keys import KeyStore
from retail_assets.stores.centre import Tokens, folder_of
from tests.services.centre import centre_of, environment_of
from tests.services.test_under_load import Crowd, front

CONFIG = ServingConfig.load_file()
BURST = int(CONFIG.wrong_keys.burst)
STORE = "store-UK-001"


def shown(key: str) -> dict[str, str]:
    """The header of a key or token."""
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("wrong", ["rk_0123456789ab_" + "A" * 43, "x", "rk_{id}_" + "A" * 43])
def test_a_wrong_key_is_told_when_to_try_again(tmp_path: Path, wrong: str) -> None:
    key, right = KeyStore(tmp_path / "keys.json").add("right", frozenset({"price"}), CONFIG)
    with front(tmp_path, None, Crowd().decide) as made:
        url = f"http://127.0.0.1:{made.port}/work"
        said = [made.client.post(url, json={}, headers=shown(wrong.format(id=key.id))) for _ in range(BURST + 20)]
        statuses = [response.status_code for response in said]
        assert statuses[:BURST] == [401] * BURST
        assert 429 in statuses
        throttled = next(response for response in said if response.status_code == 429)
        assert int(throttled.headers["retry-after"]) >= 1
        assert set(throttled.json()) == {"detail", "todo"}
        assert made.client.post(url, json={}, headers=shown(right)).status_code == 200, "nobody is locked out"
        assert made.client.post(url, json={}).status_code == 401, "no key at all is told what to do"


def test_a_wrong_token_at_the_centre(served_home: Home) -> None:
    right = Tokens(folder_of(environment_of(served_home))).issue(STORE)
    with centre_of(served_home) as url, httpx.Client() as client:
        bundle = f"{url}/v1/stores/{STORE}/bundle"
        said = [client.get(bundle, headers=shown("wrong")) for _ in range(BURST + 20)]
        assert {response.status_code for response in said} == {401, 429}
        assert int(said[-1].headers.get("retry-after", "1")) >= 1
        assert client.get(bundle, headers=shown(right)).status_code == 200


def test_addresses_do_not_throttle_each_other_and_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_buckets, "KEPT", 100)
    buckets = AddressBuckets(per_second=1, burst=2)
    assert [buckets.take("10.0.0.1", 0.0) > 0 for _ in range(3)] == [False, False, True]
    assert buckets.take("10.0.0.2", 0.0) == 0
    assert [buckets.take(f"fd00::{n}", 0.0) > 0 for n in range(3)] == [False, False, True], "one network"
    for number in range(1000):
        buckets.take(f"10.1.{number // 256}.{number % 256}", 0.0)
    assert len(buckets._buckets) == 100
    assert buckets.take("10.0.0.1", 0.0) == 0
