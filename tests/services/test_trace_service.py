"""GET /trace over real HTTP: only with the token, the same document as the command, clear refusals."""

from collections.abc import Iterator

import pytest

from retail_assets.environments import Environment, Home, trace_token
from retail_assets.lineage.trace import trace_price
from retail_assets.resources.lake import Lake
from tests.services.harness import Served, eventually

SECRET = "a-secret-of-this-test"


@pytest.fixture
def token(served_home: Home) -> Iterator[dict[str, str]]:
    """The header that opens /trace, while the home has a token."""
    file = served_home.root / "trace.token"
    file.write_text(SECRET + "\n")
    yield {"Authorization": f"Bearer {SECRET}"}
    file.unlink()


@pytest.fixture(scope="module")
def decision_id(served_home: Home) -> str:
    """A batch decision."""
    lake = Lake.at(served_home.lake)
    sql = f"select decision_id from {lake.scan('decisions', 'pricing')} where mode = 'batch' order by 1 limit 1"
    found: str = lake.query(sql)["decision_id"][0].as_py()
    return found


def test_the_service_says_what_the_command_says(
    pricing: Served, served_home: Home, token: dict[str, str], decision_id: str
) -> None:
    response = pricing.client.get(f"/trace/{decision_id}", params={"replay": True}, headers=token)
    assert response.status_code == 200
    there = Environment(name="test", home=served_home, lake=Lake.at(served_home.lake))
    expected = trace_price(there, decision_id, replay=True).model_dump(mode="json")
    once = {"seconds": 0, "replay": None}
    assert response.json() | once == expected | once
    assert response.json()["replay"]["verdict"] == expected["replay"]["verdict"]
    assert response.json()["replay"]["equal"] is True


def test_a_price_of_the_service_is_traced_once_it_is_in_the_lake(
    pricing: Served, served_home: Home, token: dict[str, str]
) -> None:
    lake = Lake.at(served_home.lake)
    sql = f"select store_id, sku from {lake.scan('decisions', 'pricing')} where mode = 'batch' order by all limit 1"
    asked = pricing.client.post("/price", json=lake.query(sql).to_pylist()[0]).json()
    url = f"/trace/{asked['decision_id']}"
    assert eventually(lambda: pricing.client.get(url, headers=token).status_code == 200, within=60, every=0.5)
    trace = pricing.client.get(url, params={"replay": True}, headers=token).json()
    assert (trace["mode"], trace["price"]) == ("service", asked["price"])
    assert trace["replay"]["equal"] is True


def test_nobody_sees_a_trace_without_the_token(pricing: Served, token: dict[str, str], decision_id: str) -> None:
    asked = f"/trace/{decision_id}"
    missing = pricing.client.get(asked)
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"] == "Bearer"
    for wrong in ("other", f"{SECRET}x", SECRET[:-1]):
        assert pricing.client.get(asked, headers={"Authorization": f"Bearer {wrong}"}).status_code == 403
    assert pricing.client.get(asked, headers={"Authorization": f"Basic {SECRET}"}).status_code == 401


def test_a_browser_gets_the_page_once_it_gave_the_token_as_password(
    pricing: Served, token: dict[str, str], decision_id: str
) -> None:
    asked, browser = f"/trace/{decision_id}", {"Accept": "text/html,application/xhtml+xml"}
    prompt = pricing.client.get(asked, headers=browser)
    assert prompt.status_code == 401
    assert prompt.headers["www-authenticate"].startswith("Basic realm=")
    wrong = pricing.client.get(asked, headers=browser, auth=("anyone", "other"))
    assert wrong.status_code == 401, "asked again"
    shown = pricing.client.get(asked, headers=browser, auth=("anyone", SECRET))
    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert decision_id in shown.text
    assert shown.text.startswith("<!doctype html>")


def test_without_a_configured_token_traces_are_refused(pricing: Served, decision_id: str) -> None:
    response = pricing.client.get(f"/trace/{decision_id}", headers={"Authorization": "Bearer anything"})
    assert response.status_code == 403
    assert "no token is configured" in response.json()["detail"]
    assert "RETAIL_TRACE_TOKEN" in response.json()["todo"]


def test_an_unknown_decision_is_not_found(pricing: Served, token: dict[str, str]) -> None:
    response = pricing.client.get("/trace/01a1b874-6c00-7cac-a220-ee2fa5f10fea", headers=token)
    assert response.status_code == 404
    assert "there is no price decision" in response.json()["detail"]


def test_the_environment_variable_goes_before_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETAIL_TRACE_TOKEN", raising=False)
    assert trace_token(home) is None
    home.root.mkdir()
    (home.root / "trace.token").write_text("\n")
    assert trace_token(home) is None, "an empty file is no token"
    (home.root / "trace.token").write_text("from the file\n")
    assert trace_token(home) == "from the file"
    monkeypatch.setenv("RETAIL_TRACE_TOKEN", "from the environment")
    assert trace_token(home) == "from the environment"
