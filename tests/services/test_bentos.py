"""The Bentos: exact versions, the same content the same version, and one that is built answers as the code does."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from retail_assets.pricing.decide.price_inputs import InputBook
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.resources.source_control import _labelled, git_commit
from retail_assets.serving.processes import bentos
from retail_assets.serving.processes.processes import ServerSpec, service_spec
from retail_assets.serving.processes.products import product as known_product
from retail_assets.serving.processes.products import products
from tests.services import harness
from tests.services.harness import serving
from tests.services.releases import live_version


def test_the_requirements_are_those_of_the_lock() -> None:
    assert bentos.REQUIREMENTS.read_text() == bentos.requirements(), "run `retail bentos --requirements`"
    names = {line.partition("==")[0] for line in bentos.REQUIREMENTS.read_text().splitlines()[1:]}
    assert {"bentoml", "deltalake", "feast", "lightgbm", "redis"} <= names
    assert names.isdisjoint({"dagster", "dbt-core", "pytest", "playwright", "hypothesis"})


@pytest.mark.parametrize("product", list(products()))
def test_a_bento_has_the_code_and_no_data(product: str) -> None:
    names = {str(path.relative_to(bentos.PROJECT_ROOT)) for path in bentos.contents(product)}
    assert {f"bento/{product}/service.py", "retail_assets/serving/gateway/gateway.py", "configs/serving.yaml"} <= names
    assert {"bento/requirements.txt", "feature_repo/feature_store.yaml"} <= names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]
    others = {f"bento/{other}/service.py" for other in products() if other != product}
    assert names.isdisjoint(others)


def test_any_changed_file_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*bentos.contents("pricing"), bentos.bento_file("pricing")]:
        copy = tmp_path / path.relative_to(bentos.PROJECT_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    before = bentos.version_of("pricing")
    monkeypatch.setattr(bentos, "PROJECT_ROOT", tmp_path)
    assert bentos.version_of("pricing") == before
    with (tmp_path / "configs" / "serving.yaml").open("a") as file:
        file.write("# changed\n")
    assert bentos.version_of("pricing") != before


def test_a_built_bento_answers_for_a_store(tiny_copy: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tag, folder, built = bentos.build("pricing", tiny_copy.models)
    assert (tag, built) == (f"pricing:{folder.name}", True)
    assert bentos.build("pricing", tiny_copy.models) == (tag, folder, False)
    assert _labelled(folder / "bento.yaml") == git_commit(), "a decision of a Bento names the code that made it"
    assert _labelled(folder / "no-bento.yaml") is None
    described = yaml.safe_load((folder / "bento.yaml").read_text())
    assert described["models"] == [], "what it serves is named by the ledger"
    installs = (folder / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert {"bentoml==1.4.39", "deltalake==1.6.6"} <= set(installs)
    # A mark that only the built code has, so that an answer from anywhere else would be seen.
    limits = folder / "src" / "configs" / "serving.yaml"
    limits.write_text(limits.read_text().replace("body_bytes: 65536", "body_bytes: 1000"))

    def of_the_bento(product: str, home: Home, port: int, project: Path) -> ServerSpec:
        spec = service_spec(product, home, port, project)
        command = [str(folder) if part == known_product(product).service else part for part in spec.command]
        return replace(spec, command=command[: command.index("--working-dir")], cwd=tmp_path)

    monkeypatch.setattr(harness, "service_spec", of_the_bento)
    monkeypatch.setattr(harness, "PROJECT_ROOT", tmp_path)
    row = InputBook.read(Lake.at(tiny_copy.lake)).rows.select(["store_id", "sku"]).to_pylist()[0]
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with serving("pricing", tiny_copy, {"RETAIL_TARGET": f"store-{row['store_id']}"}) as served:
        version = served.client.get("/version").json()
        assert (version["target"], version["version"]) == (
            f"store-{row['store_id']}",
            live_version(tiny_copy, "pricing"),
        )
        assert served.client.post("/price", json=row).status_code == 200
        assert "1,000 bytes" in served.client.post("/price", json={"sku": "x" * 2000}).json()["detail"]


def test_what_cannot_be_built_says_why(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bentofile.yaml"
    broken.write_text('service: "bento.nowhere:Nothing"\ninclude: ["configs/*.yaml"]\n')
    monkeypatch.setattr(bentos, "bento_file", lambda product: broken)
    monkeypatch.setattr(bentos, "version_of", lambda product: "v1")
    with pytest.raises(bentos.BentoError, match="could not be built") as refused:
        bentos.build("pricing", home.models)
    assert "bento.nowhere" in str(refused.value) or "nowhere" in str(refused.value)
