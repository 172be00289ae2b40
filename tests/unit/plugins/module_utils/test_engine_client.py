# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the engine's refusals where the SDK has no call of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

assert requests, "the client finds it loaded"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"message": "No such container: web"}', "No such container: web"),
        ("<html>\n502 Bad Gateway</html>", "<html> 502 Bad Gateway</html>"),
        ('["no dict"]', "no dict"),
        ("", "update container web"),
    ],
)
def test_a_refused_update_is_told_in_the_engines_words(text: str, told: str) -> None:
    answer = SimpleNamespace(status_code=502, text=text)
    api: Any = SimpleNamespace(base_url="http+docker://localhost", api_version="1.41", post=lambda *_a, **_k: answer)
    sdk: Any = SimpleNamespace(errors=SimpleNamespace(APIError=ArithmeticError, DockerException=ArithmeticError))
    with pytest.raises(FleetError, match="update container web") as refused:
        EngineClient(sdk, api).update("web", {"NanoCpus": 1})
    assert told in str(refused.value)
