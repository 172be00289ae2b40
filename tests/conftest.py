# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test of the project has: the collection importable by its name, and its folders."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
INTEGRATION = ROOT / "tests" / "integration"
LINK = ROOT / "collections" / "ansible_collections" / "ascend" / "fleet"


def pytest_configure(config: pytest.Config) -> None:
    if not LINK.exists():
        raise pytest.UsageError(f"{LINK} is not there: run `make setup` first")
    os.environ.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / "collections"))
    importlib.invalidate_caches()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies under tests/integration needs an engine, without saying so each time."""
    for item in items:
        if INTEGRATION in item.path.parents and not item.get_closest_marker("fleet"):
            item.add_marker("engine")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recorded outputs that are no part of the project; tests that read them skip without."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    return SHARED


@pytest.fixture(scope="session")
def docker_client():
    """A client of this machine's Docker Engine."""
    docker = pytest.importorskip("docker", reason="the Docker SDK for Python is not installed")
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker Engine answers here: {error}")
    yield client
    client.close()
