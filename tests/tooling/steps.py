# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the test rings, as data. `python tests/tooling/runner.py --list` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layout import ROOT, VENV, VENV_NEXT

TOOLING = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Step:
    """`command` is looked up in `venv`; without one of `paths` the step is left out."""

    name: str
    ring: str
    what: str
    command: tuple[str, ...]
    paths: tuple[str, ...] = ()
    venv: Path = VENV
    pytest: bool = False
    timeout: int = 900

    def left_out(self) -> str | None:
        if not (self.venv / "bin" / "python").exists():
            return f"{self.venv.name} is not there: no Python that new on this machine"
        if self.paths and not any(any(ROOT.glob(p)) for p in self.paths):
            return f"nothing there yet: {', '.join(self.paths)}"
        return None

    def argv(self) -> list[str]:
        program, *rest = self.command
        words = [str(TOOLING / w) if (TOOLING / w).is_file() else w for w in rest]
        return [str(self.venv / "bin" / program), *words]


def script(name: str, *args: str) -> tuple[str, ...]:
    return ("python", name, *args)


def pytest(marks: str, *args: str) -> tuple[str, ...]:
    return ("python", "-m", "pytest", "-q", "-m", marks, *(args or ("tests",)))


def simfleet(*args: str) -> tuple[str, ...]:
    return ("python", "-m", "tests.simfleet", *args)


FLEET = ("tests/simfleet/__main__.py",)
WHOLE_RUN = "tests/tooling/test_site_run.py"
DEMO = "tests/tooling/test_demo.py"
# What runs inside Ansible on the controller. The rest imports the standard library only.
OF_ANSIBLE = (
    "tests/unit/playbooks",
    "tests/unit/plugins/action",
    "tests/unit/plugins/modules",
    "tests/unit/plugins/plugin_utils",
)
NO_ENGINE = "not engine and not fleet and not kube and not exhaustive"

STEPS = (
    Step("yamllint", "lint", "every YAML file", ("yamllint", "--strict", ".")),
    Step("ruff", "lint", "every Python file", ("ruff", "check", ".")),
    Step("mypy", "lint", "typed Python, strictly", script("typed.py")),
    Step("ansible-lint", "lint", "profile production, nothing skipped", ("ansible-lint", "--offline", "--strict")),
    Step("sanity", "lint", "ansible-test sanity without ignores", script("ansible_test.py", "sanity")),
    Step(
        "docs",
        "lint",
        "documentation of every plugin and role",
        ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "."),
    ),
    Step("changelog", "lint", "changelog fragments", ("antsibull-changelog", "lint")),
    Step("node-python", "lint", "what runs on nodes is Python 3.8", script("node_python.py")),
    Step("unit", "unit", "pure logic and tools, no engine", pytest(NO_ENGINE), pytest=True),
    Step(
        "next-unit",
        "next",
        "what imports ansible, under the newest ansible-core",
        pytest(NO_ENGINE, *OF_ANSIBLE),
        venv=VENV_NEXT,
        pytest=True,
    ),
    Step(
        "next-artefact",
        "next",
        "the built collection under the newest ansible-core",
        pytest(NO_ENGINE, "tests/tooling/test_artefact.py"),
        venv=VENV_NEXT,
        pytest=True,
    ),
    Step("images", "engine", "the images of the simulated fleet", simfleet("images"), FLEET, timeout=1800),
    Step(
        "integration",
        "integration",
        "modules against a real engine",
        pytest("engine and not fleet and not exhaustive"),
        pytest=True,
        timeout=1800,
    ),
    Step(
        "targets",
        "integration",
        "modules as tasks, by ansible-test",
        script("ansible_test.py", "integration", "--allow-unsupported"),
        ("tests/integration/targets/*/tasks",),
    ),
    Step("demo", "fleet", "what `make demo` does", simfleet("demo"), FLEET, timeout=1800),
    Step("demo-again", "fleet", "its services, a second run, drift", pytest("fleet", DEMO), FLEET, pytest=True),
    Step(
        "fleet",
        "fleet",
        "playbooks over the simulated fleet",
        pytest("fleet and not exhaustive", "tests", f"--ignore={WHOLE_RUN}", f"--ignore={DEMO}"),
        FLEET,
        pytest=True,
        timeout=3600,
    ),
    Step(
        "next-site",
        "next-fleet",
        "a whole run, and tasks inside containers, by the newest ansible-core",
        pytest("fleet", WHOLE_RUN, "tests/fleet/test_node_container.py"),
        FLEET,
        venv=VENV_NEXT,
        pytest=True,
    ),
    Step("molecule-debian", "molecule", "scenario debian", script("scenario.py", "debian"), timeout=1200),
    Step("molecule-dnf", "molecule", "scenario dnf", script("scenario.py", "dnf"), timeout=1200),
    Step(
        "bench", "bench", "cost of drift and of a converged site", ("python", "-m", "tests.bench"), FLEET, timeout=3600
    ),
    Step(
        "bench-weights",
        "bench",
        "a small model to three servers: copies that leave the source",
        ("python", "-m", "tests.bench.weights", "--megabytes", "200"),
        FLEET,
        timeout=1200,
    ),
    Step(
        "kube-build", "kube-build", "kube-apiserver, once per machine", script("-m", "tests.kube.build"), timeout=3600
    ),
    Step(
        "kube",
        "kube",
        "train.yml against a real Kubernetes API",
        pytest("kube", "tests/kube"),
        pytest=True,
        timeout=1800,
    ),
    Step("exhaustive", "all", "the long tests", pytest("exhaustive"), pytest=True, timeout=3600),
)

CLEANUP = (Step("leftovers", "cleanup", "fleets that tests left behind", script("leftovers.py"), FLEET),)

# Two lanes of a stage run side by side: mostly computing beside mostly waiting for servers. What follows is taken up by
# the lane that is done first.
STAGES = (
    (
        ("lint", "unit", "next", "integration", "kube-build", "kube"),
        ("engine", "fleet"),
        ("next-fleet",),
        ("molecule",),
    ),
    (("bench",),),
    (("all",),),
)

LINT, UNIT, NEXT, ENGINE = ("lint",), ("unit",), ("next",), ("engine", "integration")
ON_FLEET = ("fleet", "next-fleet", "molecule")
RINGS = {
    "lint": LINT,
    "unit": UNIT,
    "integration": ENGINE,
    "molecule": ("engine", "molecule"),
    "fleet": ("engine", "fleet"),
    "kube": ("kube-build", "kube"),
    "test": (*LINT, *UNIT, *NEXT, *ENGINE, *ON_FLEET, "kube"),
    "test-all": (*LINT, *UNIT, *NEXT, *ENGINE, *ON_FLEET, "kube-build", "kube", "bench", "all"),
    "bench": ("engine", "bench"),
}
