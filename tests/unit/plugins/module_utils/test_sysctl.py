# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of all sysctl files decides, what is written, and what is commented out."""

from __future__ import annotations

import os

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _sysctl
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

IPV4 = _sysctl.SETTINGS["ipv4"]
WANT = {"manage": True, "ipv4": True, "ipv6": False, "neutralise": False}


def tree(tmp_path, files, runtime="0"):
    """A root with these files; a value that starts with -> is a link."""
    for path, text in files.items():
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            target.symlink_to(text[2:])
        else:
            target.write_text(text)
    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        proc = tmp_path / "proc/sys/net" / key
        proc.parent.mkdir(parents=True, exist_ok=True)
        proc.write_text(runtime + "\n")
    return System(root=str(tmp_path))


def converge(system, want):
    actions, findings = _sysctl.plan(want, _sysctl.observe(system))
    _sysctl.apply(system, actions)
    return actions, findings


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("net.ipv4.ip_forward=1", "net/ipv4/ip_forward", "1"),
        ("  net.ipv4.ip_forward  =  1  ", "net/ipv4/ip_forward", "1"),
        ("net/ipv4/ip_forward = 1", "net/ipv4/ip_forward", "1"),
        ("-net.ipv4.ip_forward = 1", "net/ipv4/ip_forward", "1"),
        ("-net.ipv4.ip_forward", "net/ipv4/ip_forward", None),
        ("net/ipv4/conf/eth0.200/forwarding = 1", "net/ipv4/conf/eth0.200/forwarding", "1"),
        ("net.ipv4.conf.eth0/200.forwarding = 1", "net/ipv4/conf/eth0.200/forwarding", "1"),
        ("net.ipv4.conf.*.forwarding = 0", "net/ipv4/conf/*/forwarding", "0"),
    ],
)
def test_a_line_is_read_as_systemd_reads_it(line, key, value):
    (parsed,) = _sysctl.parse(line, "f")
    assert (parsed.key, parsed.value) == (key, value)


@pytest.mark.parametrize(
    "line", ["", "   ", "# net.ipv4.ip_forward = 1", "; net.ipv4.ip_forward = 1", "net.ipv4.ip_forward"]
)
def test_a_line_that_assigns_nothing_is_passed_over(line):
    assert _sysctl.parse(line, "f") == []


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("net.ipv4.ip_forward=1\nnet.ipv4.ip_forward=0", False),
        ("net.ipv4.ip_forward=0\nnet.ipv4.ip_forward=1", True),
        # The kernel has two names for one variable.
        ("net.ipv4.ip_forward=1\nnet.ipv4.conf.all.forwarding=0", False),
        ("net.ipv4.ip_forward=1\nnet.ipv4.conf.default.forwarding=0", True),
        ("net.ipv4.ip_forward=1\nnet.ipv4.conf.*.forwarding=0", False),
        # An excluded or explicitly set key is not matched by a glob.
        ("net.ipv4.ip_forward=1\nnet.ipv4.conf.*.forwarding=0\n-net.ipv4.conf.all.forwarding", True),
        ("net.ipv4.ip_forward=0\nnet.ipv4.ip_*=1", False),
        ("net.ipv4.ip_forw*=1", True),
        # The same value again does not move the first assignment.
        ("net.ipv4.ip_forward=1\nnet.ipv4.conf.all.forwarding=0\nnet.ipv4.ip_forward=1", False),
        ("net.ipv4.ip_forward=1\n-net.ipv4.ip_forward", False),
        ("net.ipv4.ip_forward=yes", False),
    ],
)
def test_the_last_word_decides(text, on):
    assert _sysctl.is_on(_sysctl.parse(text, "f"), IPV4) is on


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/sysctl.d/50-x.conf": "a", "/usr/lib/sysctl.d/50-x.conf": "b"}, ["/etc/sysctl.d/50-x.conf"]),
        ({"/run/sysctl.d/50-x.conf": "a", "/usr/lib/sysctl.d/50-x.conf": "b"}, ["/run/sysctl.d/50-x.conf"]),
        ({"/etc/sysctl.d/50-x.conf": "a", "/run/sysctl.d/50-x.conf": "b"}, ["/etc/sysctl.d/50-x.conf"]),
        ({"/etc/sysctl.d/b.conf": "", "/lib/sysctl.d/a.conf": ""}, ["/lib/sysctl.d/a.conf", "/etc/sysctl.d/b.conf"]),
        ({"/etc/sysctl.d/x.conf.bak": "", "/etc/sysctl.d/README": ""}, []),
    ],
)
def test_folders_and_names_decide_the_order(tmp_path, files, expected):
    assert _sysctl.files(tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/sysctl.d/10-net.conf": "net.ipv4.ip_forward = 1\n"},
        {"/usr/lib/sysctl.d/50-docker.conf": "net.ipv4.ip_forward = 1\n"},
        {"/etc/sysctl.conf": "net.ipv4.ip_forward=1\n", "/etc/sysctl.d/99-sysctl.conf": "->../sysctl.conf"},
        {"/etc/sysctl.conf": "net.ipv4.ip_forward=1\n", "/etc/sysctl.d/99-sysctl.conf": "->/etc/sysctl.conf"},
        {"/etc/sysctl.d/10-a.conf": "net.ipv4.ip_forward=0\n", "/etc/sysctl.d/20-b.conf": "net.ipv4.ip_forward=1\n"},
        {
            "/usr/lib/sysctl.d/90-off.conf": "net.ipv4.ip_forward=0\n",
            "/etc/sysctl.d/90-off.conf": "->/dev/null",
            "/etc/sysctl.d/20-b.conf": "net.ipv4.ip_forward=1\n",
        },
    ],
)
def test_what_is_right_already_is_left_alone(tmp_path, files):
    assert _sysctl.plan(WANT, _sysctl.observe(tree(tmp_path, files, runtime="1"))) == ([], [])


@pytest.mark.parametrize(
    "files",
    [
        {},
        # Without the link nobody reads this file at boot.
        {"/etc/sysctl.conf": "net.ipv4.ip_forward=1\n"},
        {"/etc/sysctl.d/10-a.conf": "net.ipv4.ip_forward=0\n"},
        {"/etc/sysctl.conf": "#net.ipv4.ip_forward=1\n", "/etc/sysctl.d/99-sysctl.conf": "->../sysctl.conf"},
    ],
)
def test_a_file_of_ours_is_written_and_a_second_run_finds_nothing(tmp_path, files):
    system = tree(tmp_path, files, runtime="0")
    actions, findings = converge(system, WANT)
    assert [(a["action"], a["target"]) for a in actions] == [
        ("sysctl", "net/ipv4/ip_forward"),
        ("write", _sysctl.OWN_FILE),
    ]
    assert findings == []
    assert system.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
    assert system.read(_sysctl.OWN_FILE).endswith("net.ipv4.ip_forward = 1\n")
    assert converge(system, WANT) == ([], [])


OVERRIDERS = [
    (
        {"/etc/sysctl.d/99-zzz.conf": "net.ipv4.ip_forward = 0\n"},
        "/etc/sysctl.d/99-zzz.conf:1",
        "/etc/sysctl.d/99-zzz.conf",
    ),
    (
        {"/usr/lib/sysctl.d/zz-hardening.conf": "# hardening\nnet.ipv4.conf.all.forwarding = 0\n"},
        "/usr/lib/sysctl.d/zz-hardening.conf:2",
        "/etc/sysctl.d/zz-hardening.conf",
    ),
    # sysctl --system reads this one last, also where a link has systemd read it earlier.
    (
        {"/etc/sysctl.conf": "a = 1\nnet.ipv4.ip_forward=0\n", "/etc/sysctl.d/99-sysctl.conf": "->../sysctl.conf"},
        "/etc/sysctl.conf:2",
        "/etc/sysctl.conf",
    ),
    ({"/etc/sysctl.conf": "net.ipv4.ip_forward=0\n"}, "/etc/sysctl.conf:1", "/etc/sysctl.conf"),
    (
        {"/run/sysctl.d/99-zzz.conf": "net.ipv4.conf.*.forwarding=0\n"},
        "/run/sysctl.d/99-zzz.conf:1",
        "/etc/sysctl.d/99-zzz.conf",
    ),
    ({"/etc/sysctl.d/zz.conf": "-net.ipv4.ip_forward\n"}, "/etc/sysctl.d/zz.conf:1", "/etc/sysctl.d/zz.conf"),
]


@pytest.mark.parametrize(("files", "where", "edited"), OVERRIDERS)
def test_a_later_file_that_undoes_it_is_reported(tmp_path, files, where, edited):
    system = tree(tmp_path, files)
    _actions, findings = converge(system, WANT)
    assert [(f["check"], f["value"]) for f in findings] == [("forwarding-overridden", where)]
    actions, findings = converge(system, WANT)
    assert actions == []
    assert [f["value"] for f in findings] == [where]


@pytest.mark.parametrize(("files", "where", "edited"), OVERRIDERS)
def test_on_request_it_is_neutralised_and_stays_so(tmp_path, files, where, edited):
    system = tree(tmp_path, files)
    untouched = {path: system.read(path) for path in files if path != edited}
    want = dict(WANT, neutralise=True)
    actions, findings = converge(system, want)
    assert findings == []
    assert [a["target"] for a in actions if a["action"] == "neutralise"] == [edited]
    assert converge(system, want) == ([], [])
    assert converge(system, WANT) == ([], [])
    link = "/etc/sysctl.d/99-sysctl.conf"
    assert {path: system.read(path) for path in untouched if path != link} == {
        path: text for path, text in untouched.items() if path != link
    }


def test_other_lines_of_a_neutralised_file_stay(tmp_path):
    system = tree(tmp_path, {"/etc/sysctl.conf": "vm.swappiness = 1\nnet.ipv4.ip_forward = 0\n# end\n"})
    os.chmod(tmp_path / "etc/sysctl.conf", 0o600)
    converge(system, dict(WANT, neutralise=True))
    first, second, third = system.read("/etc/sysctl.conf").splitlines()
    assert (first, third) == ("vm.swappiness = 1", "# end")
    assert second.startswith("#")
    assert second.endswith("net.ipv4.ip_forward = 0")
    assert system.stat("/etc/sysctl.conf").st_mode & 0o777 == 0o600


def test_ipv6_is_turned_on_only_on_request(tmp_path):
    system = tree(tmp_path, {})
    converge(system, WANT)
    assert system.read("/proc/sys/net/ipv6/conf/all/forwarding") == "0\n"
    converge(system, dict(WANT, ipv6=True))
    assert system.read("/proc/sys/net/ipv6/conf/all/forwarding") == "1\n"
    assert "net.ipv6.conf.all.forwarding = 1" in system.read(_sysctl.OWN_FILE)
    assert "net.ipv4.ip_forward = 1" in system.read(_sysctl.OWN_FILE)


def test_what_is_not_asked_for_is_left_as_it_is(tmp_path):
    system = tree(tmp_path, {})
    converge(system, dict(WANT, ipv6=True))
    both = system.read(_sysctl.OWN_FILE)
    assert converge(system, WANT) == ([], [])
    system.write(_sysctl.OWN_FILE, both + "net.ipv4.ip_forward = 0\n")
    converge(system, WANT)
    assert system.read(_sysctl.OWN_FILE) == both


def test_absent_removes_our_file_and_leaves_the_kernel_alone(tmp_path):
    system = tree(tmp_path, {})
    converge(system, WANT)
    converge(system, dict(WANT, state="absent"))
    assert not system.exists(_sysctl.OWN_FILE)
    assert system.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
    assert converge(system, dict(WANT, state="absent")) == ([], [])


def test_unmanaged_plans_nothing(tmp_path):
    assert _sysctl.plan({"manage": False, "ipv4": True}, {}) == ([], [])


def test_a_kernel_that_refuses_is_named(tmp_path):
    system = tree(tmp_path, {})
    proc = tmp_path / "proc/sys/net/ipv4/ip_forward"
    proc.unlink()
    proc.mkdir()
    with pytest.raises(_sysctl.FleetError, match=r"net\.ipv4\.ip_forward") as caught:
        converge(system, WANT)
    assert caught.value.finding["check"] == "forwarding-refused"
