# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the test rings, as data. `python tests/tooling/runner.py --list` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layout import ROOT, VENV

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

    def present(self) -> list[str]:
        return [p for p in self.paths if any(ROOT.glob(p))]

    def left_out(self) -> str | None:
        if not (self.venv / "bin" / "python").exists():
            return f"{self.venv.name} is not there: no Python that new on this machine"
        if self.paths and not self.present():
            return f"nothing there yet: {', '.join(self.paths)}"
        return None

    def argv(self) -> list[str]:
        words = [str(TOOLING / w) if w.endswith(".py") else w for w in self.command]
        arguments = self.present() if "PATHS" in words else []
        words = [w for word in words for w in (arguments if word == "PATHS" else [word])]
        return [str(self.venv / "bin" / words[0]), *words[1:]]


def script(name: str, *args: str) -> tuple[str, ...]:
    return ("python", name, *args)


def pytest(*args: str) -> tuple[str, ...]:
    return ("python", "-m", "pytest", "-q", *args)


UNIT = ("tests/unit", "tests/simfleet", "tests/tooling")
NO_ENGINE = "not engine and not fleet"
TYPED = ("plugins/module_utils/*.py", "plugins/plugin_utils/*.py")

STEPS = (
    Step("yamllint", "lint", "every YAML file", ("yamllint", "--strict", ".")),
    Step("ruff", "lint", "every Python file", ("ruff", "check", ".")),
    Step("mypy", "lint", "typed Python, strictly", script("typed.py")),
    Step("ansible-lint", "lint", "profile production, nothing skipped",
         ("ansible-lint", "--offline", "--strict")),
    Step("sanity", "lint", "ansible-test sanity without ignores", script("sanity.py")),
    Step("docs", "lint", "documentation of every plugin and role",
         ("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".")),
    Step("changelog", "lint", "changelog fragments", ("antsibull-changelog", "lint")),
    Step("node-python", "lint", "what runs on nodes is Python 3.8", script("node_python.py")),
    Step("unit", "unit", "pure logic", pytest("-m", NO_ENGINE, "PATHS"), UNIT, pytest=True),
)  # fmt: skip

CLEANUP: tuple[Step, ...] = ()

RINGS = {
    "lint": ("lint",),
    "unit": ("unit",),
    "integration": ("integration",),
    "molecule": ("molecule",),
    "fleet": ("fleet",),
    "test": ("lint", "unit", "integration", "molecule", "fleet", "next"),
    "test-all": ("lint", "unit", "integration", "molecule", "fleet", "next", "all"),
}
