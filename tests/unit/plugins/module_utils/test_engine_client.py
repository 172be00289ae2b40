# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the engine's refusals where the SDK has no call of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from ansible_collections.ascend.fleet.plugins.module_utils import _engine_sdk
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

assert requests, "the client finds it loaded"


class Api:
    """Refuses as often as told, then accepts."""

    base_url = "http+docker://localhost"
    api_version = "1.41"

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.bodies: list[Any] = []

    def post(self, _address: str, json: Any, timeout: int) -> Any:
        assert timeout
        self.bodies.append(json)
        if len(self.bodies) <= self.refusals:
            return SimpleNamespace(status_code=500, text='{"message": "cannot update a stopped container: unknown"}')
        return SimpleNamespace(status_code=200, text="{}")


@pytest.fixture
def sdk() -> Any:
    return SimpleNamespace(errors=SimpleNamespace(APIError=ArithmeticError, DockerException=ArithmeticError))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(_engine_sdk.time, "sleep", slept.append)
    return slept


def test_a_container_that_dies_while_its_policy_is_taken_away_is_asked_again(sdk: Any, pauses: list[float]) -> None:
    api: Any = Api(refusals=3)
    EngineClient(sdk, api).set_restart_policy("web", "no")
    assert api.bodies == [{"RestartPolicy": {"Name": "no"}}] * 4
    assert len(pauses) == 3


def test_an_engine_that_goes_on_to_refuse_is_told(sdk: Any, pauses: list[float]) -> None:
    with pytest.raises(FleetError, match="update container web: cannot update a stopped container"):
        EngineClient(sdk, Api(refusals=100)).set_restart_policy("web", "no")
    assert 1 < sum(pauses) < 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"message": "No such container: web"}', "No such container: web"),
        ("<html>\n502 Bad Gateway</html>", "<html> 502 Bad Gateway</html>"),
        ('["no dict"]', "no dict"),
        ("", "update container web"),
    ],
)
def test_a_refused_update_is_told_in_the_engines_words(text: str, told: str, sdk: Any) -> None:
    answer = SimpleNamespace(status_code=502, text=text)
    api: Any = SimpleNamespace(base_url="http+docker://localhost", api_version="1.41", post=lambda *_a, **_k: answer)
    with pytest.raises(FleetError, match="update container web") as refused:
        EngineClient(sdk, api).update("web", {"NanoCpus": 1})
    assert told in str(refused.value)
