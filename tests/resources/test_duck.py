"""Every connection counts in UTC and finds its extension, whatever the machine's zone is and whoever runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import retail_assets
from retail_assets.resources import duck

PACKAGE = Path(retail_assets.__file__).parent
PROBE = """
import sys
from retail_assets.resources import duck
from retail_assets.resources.lake import Lake
lake = Lake.at(sys.argv[1])
zone = "select current_setting('TimeZone'), timestamptz '2024-03-01 00:00:00+00'::varchar"
for connection in (duck.connect(), duck.connect().cursor(), lake.connect(), lake.connect(private=True).cursor()):
    print(*connection.execute(zone).fetchone())
loaded = "select loaded from duckdb_extensions() where extension_name = 'delta'"
print(*duck.connect(delta=True).execute(loaded).fetchone())
"""


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("user_home", ["", "/nonexistent", None])
def test_neither_zone_nor_home_of_the_user_matters(zone: str, user_home: str | None, tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "HOME"} | {"TZ": zone}
    variables |= {} if user_home is None else {"HOME": user_home}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["UTC 2024-03-01 00:00:00+00"] * 4 + ["True"]


def test_a_setting_is_handed_on() -> None:
    with duck.connect(memory_limit="100MB") as connection:
        row = connection.execute("select current_setting('memory_limit')").fetchone()
    assert row == ("95.3 MiB",)


def test_nobody_goes_around_the_door() -> None:
    around = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if re.search(r"duckdb\.connect\(|duckdb\.(sql|query|execute|default_connection)\(", file.read_text())
        and file.name != "duck.py"
    ]
    assert around == []


def test_an_environment_without_the_extension_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(duck, "EXTENSIONS", tmp_path)
    with pytest.raises(duck.NoExtension, match="make setup"):
        duck.connect(delta=True)
