# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind container: what people write reaches the container spec."""

from __future__ import annotations

import pytest


def test_a_plain_container(compile_inventory, web):
    service = compile_inventory.service(web())
    assert service["npus"] == {"count": 0, "cards": None, "profile": "plain"}
    assert service["container"] == {
        "name": "web",
        "image": "reg:5000/web:1",
        "command": None,
        "entrypoint": None,
        "user": None,
        "working_dir": None,
        "hostname": None,
        "env": {},
        "devices": [],
        "mounts": [],
        "ports": [{"host_ip": "127.0.0.1", "host_port": 8080, "container_port": 8080, "protocol": "tcp"}],
        "network": "bridge",
        "shm_size": None,
        "memory": None,
        "cpus": None,
        "labels": {},
        "init": True,
        "restart": "always",
        "stop_timeout": 120,
        "ulimits": {},
        "cap_add": [],
        "cap_drop": [],
        "security_opt": [],
        "ipc": None,
        "pids_limit": None,
        "extra_hosts": [],
        "log": None,
        "cgroup_parent": None,
        "secret_files": [],
    }


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        ({"command": "serve --name 'a b'"}, "command", ["serve", "--name", "a b"]),
        ({"command": ["serve", 1]}, "command", ["serve", "1"]),
        ({"entrypoint": ["/bin/sh"]}, "entrypoint", ["/bin/sh"]),
        ({"user": 1000}, "user", "1000"),
        ({"user": "ma-user"}, "user", "ma-user"),
        ({"env": {"A": "1"}}, "env", {"A": "1"}),
        ({"shm_size": "1.5g"}, "shm_size", 3 << 29),
        ({"memory": 1073741824}, "memory", 1 << 30),
        ({"memory": "2GiB"}, "memory", 2 << 30),
        ({"cpus": "1.5"}, "cpus", 1.5),
        ({"labels": {"com.example/a": "b"}}, "labels", {"com.example/a": "b"}),
        ({"devices": ["/dev/fuse"]}, "devices", ["/dev/fuse"]),
        ({"restart": "no"}, "restart", "no"),
        ({"ulimits": {"memlock": -1}}, "ulimits", {"memlock": -1}),
        ({"cap_add": "SYS_NICE,IPC_LOCK"}, "cap_add", ["SYS_NICE", "IPC_LOCK"]),
        ({"log": {"max_file": 2}}, "log", {"max_size": "100m", "max_file": 2}),
        ({"init": False}, "init", False),
        ({"extra_hosts": ["a:10.0.0.1"]}, "extra_hosts", ["a:10.0.0.1"]),
    ],
)
def test_keys_reach_the_container(compile_inventory, web, given, key, expected):
    assert compile_inventory.service(web(**given))["container"][key] == expected


def mount(
    kind: str, source: str | None, target: str, read_only: bool = False, create: object = None
) -> dict[str, object]:
    return {"type": kind, "source": source, "target": target, "read_only": read_only, "create": create}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mounts": ["/a/:/b//c/"]}, [mount("bind", "/a", "/b/c")]),
        ({"mounts": ["/a:/b:ro"]}, [mount("bind", "/a", "/b", True)]),
        ({"mounts": ["cache:/b"]}, [mount("volume", "cache", "/b")]),
        ({"mounts": [{"type": "tmpfs", "target": "/t"}]}, [mount("tmpfs", None, "/t")]),
        (
            {"mounts": [{"source": "/a", "target": "/b", "create": {"owner": 1000}}]},
            [mount("bind", "/a", "/b", create={"owner": 1000, "mode": "0755"})],
        ),
        ({"model": "/m"}, [mount("bind", "/m", "/m", True)]),
        ({"work_dir": "/srv/w"}, [mount("bind", "/srv/w", "/srv/w", create={"owner": None, "mode": "0755"})]),
    ],
)
def test_mounts(compile_inventory, web, given, expected):
    assert compile_inventory.service(web(**given))["container"]["mounts"] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"container_port": 80}, [("127.0.0.1", 8080, 80, "tcp")]),
        ({"bind": "10.0.0.1"}, [("10.0.0.1", 8080, 8080, "tcp")]),
        ({"ports": [9000]}, [("127.0.0.1", 8080, 8080, "tcp"), ("127.0.0.1", 9000, 9000, "tcp")]),
        ({"port": None, "probe": "none", "ports": ["9000:90"]}, [("127.0.0.1", 9000, 90, "tcp")]),
        ({"port": None, "probe": "none", "ports": ["10.0.0.1:9000:90/udp"]}, [("10.0.0.1", 9000, 90, "udp")]),
        ({"port": None, "probe": "none", "ports": ["[::1]:9000:90"]}, [("::1", 9000, 90, "tcp")]),
        ({"network": "host"}, []),
    ],
)
def test_ports(compile_inventory, web, given, expected):
    ports = compile_inventory.service(web(**given))["container"]["ports"]
    assert [(p["host_ip"], p["host_port"], p["container_port"], p["protocol"]) for p in ports] == expected


@pytest.mark.parametrize(
    ("given", "kind", "port"),
    [
        ("none", "none", None),
        ("tcp", "tcp", 80),
        ({"type": "tcp", "port": 81}, "tcp", 81),
        ({"command": "true"}, "command", None),
        ({"path": "/x"}, "http", 80),
        ({"steps": ["/x", {"path": "/y", "method": "POST", "body": {"a": 1}}]}, "http", 80),
    ],
)
def test_probes(compile_inventory, web, given, kind, port):
    probe = compile_inventory.service(web(container_port=80, probe=given))["probe"]
    assert (probe["type"], probe["port"]) == (kind, port)


def test_a_probe_that_submits_waits_and_looks_into_the_log(compile_inventory, web):
    steps = [
        {"path": "/jobs", "method": "POST", "capture": {"job": "id"}, "tell": ["why"]},
        {"path": "/jobs/${job}", "until": {"timeout": 9}, "reject": [{"path": "state", "equals": "failed"}]},
        {"command": "rm /tmp/x"},
        {"forbid": ["(FAILED)"]},
    ]
    made = compile_inventory.service(web(probe={"steps": steps}))["probe"]["steps"]
    assert made[0]["capture"] == {"job": "id"}
    assert made[0]["tell"] == ["why"]
    assert made[1]["until"] == {"timeout": 9, "interval": 1.0}
    assert made[1]["reject"] == [{"path": "state", "equals": "failed"}]
    assert made[2:] == [{"command": ["rm", "/tmp/x"], "timeout": 30}, {"forbid": ["(FAILED)"]}]


def test_a_probe_with_expectations(compile_inventory, web):
    step = {
        "path": "/y",
        "method": "POST",
        "body": {"a": [1]},
        "status": 201,
        "headers": {"X-A": "b"},
        "expect": [{"contains": "ok"}, {"path": "a.0", "equals": 0}, {"path": "b", "type": "array"}],
    }
    assert compile_inventory.service(web(probe={"steps": [step]}))["probe"]["steps"] == [
        {
            "method": "POST",
            "path": "/y",
            "status": [201],
            "body": {"a": [1]},
            "headers": {"X-A": "b"},
            "secret_header": None,
            "timeout": 30,
            "expect": [
                {"contains": "ok"},
                {"path": "a.0", "equals": 0},
                {"path": "b", "type": "array", "non_empty": False},
            ],
        }
    ]


def test_secrets_are_files(compile_inventory, web, tmp_path):
    (tmp_path / "k").write_text("x", encoding="utf-8")
    (tmp_path / "k").chmod(0o600)
    service = compile_inventory.service(
        web(secrets=[{"name": "key", "file": "k"}, {"name": "b", "file": "k", "target": "/b"}])
    )
    assert [(s["id"], s["target"]) for s in service["container"]["secret_files"]] == [
        ("web/key", "/run/secrets/key"),
        ("web/b", "/b"),
    ]


def test_a_secret_in_the_environment_is_a_warning(compile_inventory, web):
    compiled = compile_inventory({"n1": {"fleet_services": [web(env={"HF_TOKEN": "abc", "TOKENIZERS": "1"})]}})
    (finding,) = compiled.findings
    assert (finding["check"], finding["severity"], finding["key"]) == ("secret-in-env", "warning", "env.HF_TOKEN")
    assert "abc" not in str(finding)


def test_a_model_must_be_there(compile_inventory, web):
    assert compile_inventory.service(web(model="/m"))["checks"] == [{"type": "path", "path": "/m", "must": "directory"}]
