# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built collection holds what users need and nothing else, and runs where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tree
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RUNS = ("meta", "plugins", "roles", "playbooks")
WHOLE = (*RUNS, "docs")
SINGLE = {
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs/changelog.yaml",
    "changelogs/config.yaml",
}
INVENTORY: dict[str, Any] = {
    "fleet": {
        "hosts": {"n1": {"ansible_connection": "local"}},
        "vars": {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "fleet_services": [
                {
                    "name": "web",
                    "kind": "container",
                    "npus": 0,
                    "image": "registry.invalid/web:1",
                    "probe": "none",
                }
            ],
        },
    }
}
COMPILE = [
    {
        "name": "Compile",
        "hosts": "fleet",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Compile",
                "ascend.fleet.fleet_compile": {"step": "plan"},
                "run_once": True,
                "register": "compiled",
            },
            {
                "name": "Look at the document",
                "ansible.builtin.assert": {
                    "that": [
                        "compiled.documents.n1.services | map(attribute='name') | list == ['web']",
                        "compiled.documents.n1.schema == 1",
                    ]
                },
            },
        ],
    }
]


def run(argv: list[str], cwd: Path, collections: Path | None = None) -> str:
    paths = [str(p) for p in (collections, tree.dependencies()) if p]
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(paths), "NO_COLOR": "1"}
    env = {k: v for k, v in env.items() if k not in {"ANSIBLE_CONFIG", "PYTHONPATH"}}
    done = subprocess.run(
        [str(BIN / argv[0]), *argv[1:]], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("checkout")
    tree.copy_checkout(target)
    return target


@pytest.fixture(scope="module")
def artefact(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built")
    run(["ansible-galaxy", "collection", "build", "--output-path", str(target)], checkout)
    built = list(target.glob("ascend-fleet-*.tar.gz"))
    assert len(built) == 1
    return built[0]


def install(artefact: Path, target: Path) -> Path:
    argv = ["ansible-galaxy", "collection", "install", str(artefact), "--offline", "--no-deps"]
    run([*argv, "-p", str(target)], target, target)
    return target / "ansible_collections" / "ascend" / "fleet"


def keep_all(_installed: Path) -> None:
    """As installed."""


def keep_what_runs(installed: Path) -> None:
    """Only what the inclusion rules of the community package keep."""
    for path in installed.iterdir():
        if path.name not in RUNS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module", params=[keep_all, keep_what_runs], ids=["whole", "what runs"])
def installed(request: pytest.FixtureRequest, artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    reduce: Callable[[Path], None] = request.param
    reduce(install(artefact, target))
    return target


def playbooks() -> list[str]:
    return sorted(p.stem for p in (ROOT / "playbooks").glob("*.yml"))


def test_the_artefact_holds_exactly_what_it_should(checkout: Path, artefact: Path) -> None:
    with tarfile.open(artefact) as archive:
        held = {m.name for m in archive.getmembers() if not m.isdir()}
    wanted = {
        str(path.relative_to(checkout)) for folder in WHOLE for path in (checkout / folder).rglob("*") if path.is_file()
    }
    alone = {name for name in SINGLE if (checkout / name).exists()}
    assert held == wanted | alone | {"FILES.json", "MANIFEST.json"}


def test_the_artefact_is_small(artefact: Path) -> None:
    assert artefact.stat().st_size < 2_000_000


def test_every_playbook_is_found_by_its_name(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
    names = [f"ascend.fleet.{playbook}" for playbook in playbooks()]
    output = run(["ansible-playbook", *names, "-i", "inventory.yml", "--syntax-check"], tmp_path, installed)
    assert not [name for name in playbooks() if f"/fleet/playbooks/{name}.yml" not in output]


@pytest.mark.skipif(not (ROOT / "plugins/action/fleet_compile.py").exists(), reason="there is no compile yet")
def test_it_compiles_an_inventory(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
    (tmp_path / "compile.yml").write_text(yaml.safe_dump(COMPILE, sort_keys=False))
    output = run(["ansible-playbook", "-i", "inventory.yml", "compile.yml"], tmp_path, installed)
    assert "failed=0" in output


def test_every_module_has_documentation(installed: Path, tmp_path: Path) -> None:
    names = sorted(f"ascend.fleet.{p.stem}" for p in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
    documented = json.loads(run(["ansible-doc", "--json", *names], tmp_path, installed))
    assert sorted(name for name in names if documented[name]["doc"]["short_description"]) == names


def test_every_role_has_documentation(installed: Path, tmp_path: Path) -> None:
    names = sorted(f"ascend.fleet.{path.name}" for path in (ROOT / "roles").iterdir() if path.is_dir())
    documented = json.loads(run(["ansible-doc", "--json", "-t", "role", *names], tmp_path, installed))
    told = [
        name for name in names if documented.get(name, {}).get("entry_points", {}).get("main", {}).get("description")
    ]
    assert told == names


def test_a_checkout_installs_from_its_own_requirements(checkout: Path, tmp_path: Path) -> None:
    """What a project sync of AWX does, with the other collections already there."""
    shutil.copytree(tree.dependencies() / "ansible_collections", tmp_path / "ansible_collections")
    argv = ["ansible-galaxy", "collection", "install", "-r", "collections/requirements.yml"]
    run([*argv, "--offline", "-p", str(tmp_path)], checkout, tmp_path)
    assert (tmp_path / "ansible_collections/ascend/fleet/MANIFEST.json").exists()


def test_the_action_group_holds_the_modules_that_run_on_nodes() -> None:
    """module_defaults of a play reach them under one name; what runs on the controller alone has no code here."""
    modules = [path for path in (ROOT / "plugins/modules").glob("[!_]*.py") if "\ndef main()" in path.read_text()]
    grouped = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["fleet"]
    assert grouped == sorted(path.stem for path in modules)


def test_requirements_name_the_dependencies_of_galaxy_yml() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    wanted = yaml.safe_load((ROOT / "collections/requirements.yml").read_text())["collections"]
    named = {entry["name"]: entry["version"] for entry in wanted if entry.get("type") != "dir"}
    assert named == galaxy["dependencies"]
    assert {"name": ".", "type": "dir"} in wanted
    tried = yaml.safe_load((ROOT / "tests/requirements.yml").read_text())["collections"]
    assert set(named) <= {entry["name"] for entry in tried}
