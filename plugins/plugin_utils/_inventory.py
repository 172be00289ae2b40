# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of the running play as the compiler needs it. Private to the collection."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.vars.hostvars import HostVarsVars

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data, _secret_files
from ansible_collections.ascend.fleet.plugins.plugin_utils._compile import Variables, World
from ansible_collections.ascend.fleet.plugins.plugin_utils._entries import Files
from ansible_collections.ascend.fleet.plugins.plugin_utils._group_lists import GroupLists
from ansible_collections.ascend.fleet.plugins.plugin_utils._host_settings import ALIASES, PREFIX
from ansible_collections.ascend.fleet.plugins.plugin_utils._merge import UNREADABLE, VARIABLE
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw
from ansible_collections.ascend.fleet.plugins.plugin_utils._records import plain

if TYPE_CHECKING:
    from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import Bundle

HOSTS = "fleet_hosts"
ENTRY = "__fleet_entry"
CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_ORIGIN = re.compile(r"Origin: (.+)")


class Inventory:
    def __init__(self, task_vars: Mapping[str, Any], loader: Any, template: Callable[[Any], Any]) -> None:
        self._vars = task_vars
        self._hostvars = task_vars["hostvars"]
        self._known: dict[str, Mapping[str, Any]] = {}
        self._groups: Mapping[str, list[str]] = task_vars["groups"]
        self._loader = loader
        self._template = template
        self._manager: InventoryManager | None = None
        self._play_values = self._of_play()
        self._group_lists = GroupLists(self._hostvars._inventory, loader, self._variable_folders)

    def world(self) -> World:
        return World(
            variables=self.variables,
            match=self.match,
            address=self.address,
            scope=self.scope,
            folder=self.folder,
            files=Files(
                _secret_problem,
                _problem,
                _file_problem,
                _folder_problem,
                _bundle_problem,
                _text_digest,
                _content_digest,
            ),
            bundle=_open_bundle,
        )

    def play_hosts(self) -> list[str]:
        return [str(host) for host in self._vars["ansible_play_hosts_all"]]

    def variables(self, host: str) -> Variables:
        """What the inventory says of a host, with variables of the play above it."""
        found = self._of_host(host)
        values: dict[str, Any] = {}
        flaws = [flaw for flaw in self._group_lists.flaws(host) if flaw.key not in self._play_values]
        for name in found:
            if not (name.startswith(PREFIX) or name in ALIASES) or name in self._play_values:
                continue
            try:
                values[name] = plain(found[name])
            except AnsibleError as error:
                entries, found_flaws = self._one_by_one(host, name)
                flaws += found_flaws or [_template_flaw(name, error)]
                if entries:
                    values[name] = entries
        return Variables({**values, **self._play_values}, flaws)

    def _one_by_one(self, host: str, name: str) -> tuple[list[Any], list[Flaw]]:
        """The entries of a list of which some cannot be templated: what is wrong with the others is told too."""
        raw = self._hostvars.raw_get(host)
        entries: list[Any] = []
        flaws: list[Flaw] = []
        for entry in raw[name] if VARIABLE.match(name) and isinstance(raw[name], list) else []:
            try:
                entries.append(plain(HostVarsVars({**raw, ENTRY: entry}, loader=self._loader, host=host)[ENTRY]))
            except AnsibleError as error:
                entries.append(UNREADABLE)
                flaws.append(_template_flaw(name, error))
        return entries, flaws

    def _variable_folders(self, host: str) -> list[str]:
        """Where group_vars may lie for a host; those of the playbook win."""
        return [str(self._of_host(host).get("inventory_dir") or ""), str(self._vars.get("playbook_dir") or "")]

    def _of_host(self, host: str) -> Mapping[str, Any]:
        """Ansible gathers the variables of a host anew at each look, which takes a while."""
        if host not in self._known:
            self._known[host] = self._hostvars[host]
        return self._known[host]

    def _of_play(self) -> dict[str, Any]:
        """Variables of the play, its roles and tasks, which are not among the variables of other hosts."""
        host = self._of_host(self._vars["inventory_hostname"])
        defaults = _data.defaults()
        found: dict[str, Any] = {}
        for name in self._vars:
            if not name.startswith(PREFIX):
                continue
            try:
                value = plain(self._template(self._vars[name]))
                inherited = plain(host[name]) if name in host else defaults.get(name)
            except AnsibleError:
                # The host's own variables are read later, and the error is told there.
                continue
            if value != inherited:
                found[name] = value
        return found

    def match(self, pattern: str) -> list[str]:
        if self._manager is None:
            self._manager = InventoryManager(self._loader, parse=False)
            for group, hosts in self._groups.items():
                self._manager.add_group(group)
                for host in hosts:
                    self._manager.add_host(host, group=group)
        try:
            found = {host.name for host in self._manager.get_hosts(pattern)}
        except (AnsibleError, IndexError) as error:
            # A pattern that ends in an operator is cut by an index.
            raise ValueError(str(error)) from error
        return [host for host in self._groups["all"] if host in found]

    def scope(self) -> list[str]:
        pattern = self._play_values.get(HOSTS) or self.variables(str(self._vars["inventory_hostname"])).values.get(
            HOSTS
        )
        return self.match(str(pattern or _data.defaults()[HOSTS]))

    def address(self, host: str) -> str:
        found = self._of_host(host)
        for name in ("fleet_address", "ansible_host"):
            if found.get(name):
                return str(found[name])
        return host

    def folder(self, host: str) -> str:
        """Relative files of the controller lie beside the inventory, or where the command was given."""
        return str(self._of_host(host).get("inventory_dir") or os.getcwd())

    def beside(self, host: str, path: str) -> Path:
        return Path(self.folder(host), os.path.expanduser(path)).resolve()


def _template_flaw(name: str, error: AnsibleError) -> Flaw:
    reason = " ".join(str(error).split()).rstrip(".")
    origin = _ORIGIN.match(str(getattr(error, "_formatted_source_context", None)))
    at = f" ({origin.group(1)})" if origin else ""
    if "vault" in reason:
        remedy = "Give the password it was encrypted with (--ask-vault-pass or --vault-password-file)."
        return Flaw(name, None, f"cannot be decrypted{at}: {reason}", remedy)
    return Flaw(
        name, None, f"cannot be templated{at}: {reason}", "Define what it refers to, or correct the expression."
    )


def _problem(path: str) -> str | None:
    return None if os.access(path, os.R_OK) else "cannot be read on the controller"


def _file_problem(path: str) -> str | None:
    return "is a directory" if os.path.isdir(path) else _problem(path)


def _folder_problem(path: str) -> str | None:
    try:
        return None if os.listdir(path) else "is empty"
    except NotADirectoryError:
        return "is no directory"
    except OSError as error:
        return f"cannot be read on the controller ({error.strerror})"


def _secret_problem(path: str) -> str | None:
    problem = _secret_files.problem(path)
    if problem is not None:
        return problem
    try:
        return None if Path(path).read_text(encoding="utf-8") else "is empty"
    except OSError as error:
        return f"cannot be read on the controller ({error.strerror})"
    except UnicodeDecodeError:
        return "is no text in UTF-8"


def _open_bundle(path: str, signed: bool, key: str | None) -> Bundle:
    # Most fleets have none, and Ansible keeps no bytecode.
    from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_files import open_bundle

    return open_bundle(path, signed, key)


def _bundle_problem(path: str) -> str | None:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        return f"cannot be read on the controller ({error.strerror})"
    except UnicodeDecodeError:
        text = ""
    return None if CERTIFICATE in text else "holds no certificate in PEM form"


def _text_digest(path: str) -> str:
    """Of the text, which is what the nodes get: the line ends of another system do not count."""
    return hashlib.sha256(Path(path).read_text(encoding="utf-8").encode()).hexdigest()


@cache
def _content_digest(path: str) -> str:
    """Read once, though every node asks."""
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file())
        named = [f"{file.relative_to(place)} {file.stat().st_size}" for file in files]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()
    with place.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
