# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people write, and its one normal form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import (
    FORBIDDEN_TARGET,
    OPTIONS,
    OptionError,
    argument_spec,
    hides,
    normalise,
    parse_device,
    parse_path,
    parse_size,
    settle,
    spec_digest,
    with_card_access,
)

BASE: dict[str, Any] = {"name": "chat", "image": "vllm:1"}


def spec_of(**options: Any) -> dict[str, Any]:
    spec, problems = normalise({**BASE, **options})
    assert problems == []
    return spec


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, None), (0, None), ("", None), ("0", None), (1024, 1024), ("1024", 1024), ("1k", 1024), ("1K", 1024),
        ("1kb", 1024), ("1KiB", 1024), ("1.5g", 1610612736), ("64 m", 67108864), ("2T", 2 * 1024**4), ("10b", 10),
    ],
)  # fmt: skip
def test_sizes(value: Any, size: int | None) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["much", "1x", "-1", -1, "1g2", True, [], "g"])
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(OptionError):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, None), ([], None), ("", None), (["sleep", 5], ["sleep", "5"]),
        (["sh", "-c", "a, b"], ["sh", "-c", "a, b"]),
        ("sleep 5", ["sleep", "5"]), ("sh -c 'echo a,b; sleep 1'", ["sh", "-c", "echo a,b; sleep 1"]),
    ],
)  # fmt: skip
def test_a_command_is_a_list_or_a_text(value: Any, words: list[str] | None) -> None:
    assert spec_of(command=value)["command"] == words


@pytest.mark.parametrize("value", ["sh -c 'a", 5, {"a": 1}, ["a", True], ["a", None], [["a"]]])
def test_what_is_no_command(value: Any) -> None:
    _spec, (problem,) = normalise({**BASE, "command": value})
    assert (problem["check"], problem["key"]) == ("option-invalid", "command")


@given(st.integers(min_value=1, max_value=2**50))
def test_a_size_in_bytes_is_itself(size: int) -> None:
    assert parse_size(size) == parse_size(str(size)) == parse_size(f"{size}b") == size


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:/dev/b:mr", ("/dev/a", "/dev/b", "rm")),
        ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
        ("/dev//a/:/dev/b/", ("/dev/a", "/dev/b", "rwm")),
        ({"host": "/dev/a"}, ("/dev/a", "/dev/a", "rwm")),
    ],
)
def test_devices(value: Any, parts: tuple[str, str, str]) -> None:
    assert tuple(parse_device(value).values()) == parts


@pytest.mark.parametrize("value", ["dev/a", "", "/dev/a:/dev/b:x", "/dev/a:/dev/b:", "/dev/a:/dev/b:r:w", 7])
def test_what_is_no_device(value: Any) -> None:
    with pytest.raises(OptionError):
        parse_device(value)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), max_size=6))
def test_a_normal_path_stays_as_it_is_and_has_no_detours(parts: list[str]) -> None:
    once = parse_path("/" + "/".join(parts))
    assert parse_path(once) == once
    assert once == "/" or not ({"", ".", ".."} & set(once[1:].split("/")))


@pytest.mark.parametrize(
    ("target", "covers"),
    [
        (FORBIDDEN_TARGET, True), (FORBIDDEN_TARGET + "/x", True), ("/home", True), ("/", True),
        (FORBIDDEN_TARGET + "2", False), ("/home/other", False), ("/mnt", False),
    ],
)  # fmt: skip
def test_what_hides_the_images_files(target: str, covers: bool) -> None:
    assert hides(target, FORBIDDEN_TARGET) is covers
    _spec, problems = normalise({**BASE, "mounts": [{"source": "/x", "target": target}]})
    assert bool(problems) is covers


WRONG: list[tuple[str, Any, str]] = [
    ("name", "a b", "name"),
    ("name", "", "name"),
    ("image", None, "image"),
    ("image", " ", "image"),
    ("memory", "much", "memory"),
    ("shm_size", "x", "shm_size"),
    ("cap_add", ["SYS_NICF"], "cap_add"),
    ("cap_drop", ["CAP_EVERYTHING"], "cap_drop"),
    ("cpus", -1, "cpus"),
    ("cpus", "many", "cpus"),
    ("cpus", "nan", "cpus"),
    ("cpus", float("inf"), "cpus"),
    ("env", {"A": True}, "env.A"),
    ("env", {"A": 1.5}, "env.A"),
    ("env", {"A": None}, "env.A"),
    ("env", {"A B": "1"}, "env.A B"),
    ("env", ["A=1"], "env"),
    ("labels", {"io.ascend.fleet.npus": "0"}, "labels.io.ascend.fleet.npus"),
    ("devices", ["dev/x"], "devices"),
    ("devices", ["/dev/a:/dev/x", "/dev/b:/dev/x"], "devices"),
    ("devices", 5, "devices"),
    ("mounts", [{"source": "x", "target": "/y"}], "mounts"),
    ("mounts", [{"target": "/y"}], "mounts"),
    ("mounts", [{"source": "/x"}], "mounts"),
    ("mounts", [{"type": "npipe", "source": "/x", "target": "/y"}], "mounts"),
    ("mounts", [{"source": "/x", "target": "/y"}, {"source": "/z", "target": "/y/"}], "mounts"),
    ("mounts", [{"source": "/x", "target": "/y", "create": {"mode": 755}}], "mounts"),
    ("secret_files", [{"id": "../../etc/shadow", "target": "/x"}], "secret_files"),
    ("secret_files", [{"id": "a/../b", "target": "/x"}], "secret_files"),
    ("secret_files", [{"id": "a", "target": "x"}], "secret_files"),
    ("ports", [{"host_port": 0, "container_port": 1}], "ports"),
    ("ports", [{"host_port": 70000, "container_port": 1}], "ports"),
    ("ports", [{"host_port": True, "container_port": 1}], "ports"),
    ("ports", [{"host_port": 1, "container_port": 1, "protocol": "sctp"}], "ports"),
    ("ports", [{"host_port": 1, "container_port": 1}, {"host_port": 1, "container_port": 2}], "ports"),
    ("network", "container:other", "network"),
    ("restart", "unless-stopped", "restart"),
    ("stop_timeout", -1, "stop_timeout"),
    ("ipc", "container:other", "ipc"),
    ("ulimits", {"nofile": "many"}, "ulimits"),
    ("extra_hosts", ["name"], "extra_hosts"),
    ("surprise", 1, "surprise"),
]


@pytest.mark.parametrize(("option", "value", "key"), WRONG, ids=[f"{o} {v}" for o, v, _k in WRONG])
def test_a_wrong_value_is_named_with_its_option_and_a_remedy(option: str, value: Any, key: str) -> None:
    _spec, problems = normalise({**BASE, option: value})
    assert [problem["key"] for problem in problems] == [key]
    assert option in problems[0]["message"]
    assert problems[0]["remedy"]


def test_wrong_values_are_told_all_at_once_and_a_variables_value_never() -> None:
    _spec, problems = normalise({**BASE, "memory": "x", "env": {"TOKEN": False}, "devices": ["y"], "cpus": -1})
    assert sorted(problem["key"] for problem in problems) == ["cpus", "devices", "env.TOKEN", "memory"]
    assert next(p for p in problems if p["key"] == "env.TOKEN")["value"] is None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"network": "host", "ports": [{"host_port": 1, "container_port": 1}]}, "ports"),
        ({"memory": "1g", "shm_size": "2g"}, "shm_size"),
        (
            {"mounts": [{"source": "/x", "target": "/k"}], "secret_files": [{"id": "chat/key", "target": "/k"}]},
            "secret_files",
        ),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], key: str) -> None:
    assert [problem["key"] for problem in normalise({**BASE, **options})[1]] == [key]


def test_a_secret_is_a_read_only_mount() -> None:
    spec = spec_of(secret_files=[{"id": "chat/key", "target": "/run/secrets/key"}])
    assert spec["mounts"] == [
        {
            "type": "bind",
            "source": "/var/lib/ascend-fleet/secrets/chat/key",
            "target": "/run/secrets/key",
            "read_only": True,
        }
    ]


def test_normalising_the_argument_specs_defaults_changes_nothing() -> None:
    defaults = {name: argument.get("default") for name, argument in argument_spec().items()}
    assert spec_of() == spec_of(**{name: value for name, value in defaults.items() if name not in BASE})
    assert set(argument_spec()) == set(OPTIONS)


def test_the_digest_tells_specs_apart_and_ignores_order() -> None:
    one = spec_of(env={"A": "1", "B": "2"}, devices=["/dev/a", "/dev/b"])
    turned = spec_of(env={"B": "2", "A": "1"}, devices=["/dev/b", "/dev/a:/dev/a:rwm"])
    assert spec_digest(one) == spec_digest(turned)
    assert spec_digest(one) != spec_digest(spec_of(env={"A": "1", "B": "2"}, devices=["/dev/a"]))


def test_a_mount_that_may_be_left_out_is_left_out_where_it_is_not() -> None:
    spec = spec_of(mounts=[{"source": "/a", "target": "/a", "optional": True}, {"source": "/b", "target": "/b"}])
    assert [m["target"] for m in settle(spec, lambda path: path == "/a")["mounts"]] == ["/a", "/b"]
    assert [m["target"] for m in settle(spec, lambda _path: False)["mounts"]] == ["/b"]


def test_card_access_adds_and_the_users_own_words_win() -> None:
    spec = spec_of(env={"ASCEND_RT_VISIBLE_DEVICES": "0"}, mounts=[{"source": "/mine", "target": "/usr/local/dcmi"}])
    access = {
        "devices": ["/dev/davinci3:/dev/davinci3:rwm"],
        "mounts": [{"type": "bind", "source": "/usr/local/dcmi", "target": "/usr/local/dcmi", "read_only": True}],
        "env": {"ASCEND_RT_VISIBLE_DEVICES": "0,1", "OTHER": "x"},
    }
    resolved = with_card_access(spec, access, [3])
    assert resolved["npus"] == [3]
    assert [device["host"] for device in resolved["devices"]] == ["/dev/davinci3"]
    assert [mount["source"] for mount in resolved["mounts"]] == ["/mine"]
    assert resolved["env"] == {"ASCEND_RT_VISIBLE_DEVICES": "0", "OTHER": "x"}
    assert spec["devices"] == []
