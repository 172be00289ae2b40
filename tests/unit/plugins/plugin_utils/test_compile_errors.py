# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong inventories: each flaw gives exactly one error that names entry, key and value and says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _problems

WEB: dict[str, Any] = {
    "name": "web",
    "kind": "container",
    "image": "reg:5000/web:1",
    "port": 8080,
    "probe": {"path": "/"},
}
CHAT: dict[str, Any] = {
    "name": "chat",
    "kind": "vllm",
    "image": "reg:5000/vllm:1",
    "model": "/mnt/models/tiny",
    "npus": 2,
}
DRAW: dict[str, Any] = {"name": "draw", "kind": "comfyui", "image": "reg:5000/draw:1", "ascendcloud": "/mnt/package"}
SHA = "sha256:" + "a" * 64

# What is changed in an entry that is right, and what the one error holds: key, value, message, remedy.
WEB_CASES: list[tuple[str, dict[str, Any], tuple[str, str, str, str]]] = [
    ("no-name", {"name": None}, ("name", "", "is missing", "Add name")),
    ("name-upper-case", {"name": "Web"}, ("name", "Web", "is no valid name", "small letters")),
    ("name-one-letter", {"name": "w"}, ("name", "w", "is no valid name", "2 to 63")),
    ("name-reserved", {"name": "never"}, ("name", "never", "is a reserved word", "another name")),
    ("name-number", {"name": 12}, ("name", "12", "is not text", "in quotes")),
    ("no-kind", {"kind": None}, ("kind", "", "is missing", "container, vllm")),
    ("kind-misspelt", {"kind": "contaner"}, ("kind", "contaner", "is no kind", "Did you mean container?")),
    (
        "kind-of-nothing",
        {"kind": "spark"},
        ("kind", "spark", "is no kind", "Kinds of a service: comfyui, container, vllm"),
    ),
    ("key-misspelt", {"prot": 80}, ("prot", "80", "is no key of this entry of kind container", "Did you mean port?")),
    ("key-of-another-kind", {"max_model_len": 80}, ("max_model_len", "80", "is no key", "Remove it")),
    ("no-image", {"image": None}, ("image", "", "is missing", "Kind container needs it")),
    ("no-probe", {"probe": None}, ("probe", "", "is missing", "Kind container needs it")),
    ("port-high", {"port": 70000}, ("port", "70000", "is out of range", "from 1 to 65535")),
    ("port-text", {"port": "http"}, ("port", "http", "is not a whole number", "whole number")),
    ("cpus-mapping", {"cpus": {"count": 2}}, ("cpus", '{"count": 2}', "is not a number", "Write a number")),
    ("cpus-infinite", {"cpus": float("inf")}, ("cpus", "Infinity", "is not a finite number", "Write a number")),
    (
        "probe-interval-nan",
        {"probe": {"path": "/", "interval": float("nan")}},
        ("probe.interval", "NaN", "is not a finite number", "Write a number"),
    ),
    ("port-list", {"port": [80]}, ("port", "[80]", "is not a whole number", "whole number")),
    ("bind-name", {"bind": "localhost"}, ("bind", "localhost", "is not an IP address", "127.0.0.1")),
    ("bind-range", {"bind": "10.0.0.256"}, ("bind", "10.0.0.256", "is not an IP address", "0.0.0.0")),
    ("image-with-url", {"image": "http://reg/web"}, ("image", "http://reg/web", "is not an image", "Correct")),
    ("image-upper-case", {"image": "Web:1"}, ("image", "Web:1", "is not an image reference", "Correct")),
    (
        "image-digest",
        {"image": {"reference": "web", "digest": "md5:1"}},
        ("image.digest", "md5:1", "is not sha256", "Correct"),
    ),
    (
        "image-archive-missing",
        {"image": {"reference": "web", "archive": "no.tar"}},
        ("image.archive", "no.tar", "cannot be read", "archive_on: node"),
    ),
    (
        "image-archive-relative",
        {"image": {"reference": "web", "archive": "no.tar", "archive_on": "node"}},
        ("image.archive", "no.tar", "is not an absolute path", "whole path"),
    ),
    ("image-key", {"image": {"refernce": "web"}}, ("image.refernce", "web", "is no key of this image", "reference")),
    ("state", {"state": "started"}, ("state", "started", "is not among the choices", "present, stopped, absent")),
    ("npus-text", {"npus": "two"}, ("npus", "two", "is neither a number of cards nor a list", "Write 2")),
    ("npus-negative", {"npus": -1}, ("npus", "-1", "is below 0", "Write 0")),
    ("npus-twice", {"npus": [1, 1]}, ("npus", "[1, 1]", "names card 1 twice", "once")),
    ("npus-negative-card", {"npus": [-2]}, ("npus[0]", "-2", "is below 0", "/dev/davinciN")),
    ("npus-device", {"npus": ["/dev/davinci0"]}, ("npus[0]", "/dev/davinci0", "is no card", "number N")),
    ("npus-none", {"npus": []}, ("npus", "[]", "is an empty list", "Write 0")),
    ("npus-not-there", {"npus": [7, 8]}, ("npus", "[7, 8]", "names card 8, but the node has 8", "from 0 to 7")),
    (
        "npus-per-instance",
        {"npus": [0, 1, 2], "instances": 2},
        ("npus", "[0, 1, 2]", "cannot be divided among 2", "same number"),
    ),
    ("instances-none", {"instances": 0}, ("instances", "0", "is out of range", "from 1 to 64")),
    (
        "instances-port",
        {"instances": 3, "port": 65534},
        ("port", "65534", "leaves no room for 3 instances", "lower port"),
    ),
    ("replicas", {"replicas": 2}, ("replicas", "2", "is more than the 1 node that", "Lower it to 1")),
    ("replicas-none", {"replicas": 0}, ("replicas", "0", "is out of range", "from 1 upwards")),
    ("nodes-unknown", {"nodes": "nowhere"}, ("nodes", "nowhere", "matches no host", "a group, a host")),
    ("nodes-no-pattern", {"nodes": "~("}, ("nodes", "~(", "is no host pattern", "as after hosts:")),
    ("env-number", {"env": {"SIZE": 1}}, ("env.SIZE", "1", "is not text", "in quotes")),
    ("env-name", {"env": {"a-b": "1"}}, ("env.a-b", "1", "is no valid name", "underscores")),
    ("env-list", {"env": ["A=1"]}, ("env", '["A=1"]', "is not a mapping", "NAME: value")),
    (
        "env-own",
        {"env": {"ASCEND_RT_VISIBLE_DEVICES": "0"}},
        ("env.ASCEND_RT_VISIBLE_DEVICES", "0", "is set by the collection", "Remove it"),
    ),
    (
        "mount-ma-user",
        {"mounts": ["/srv/x:/home/ma-user/x"]},
        ("mounts[0].target", "/home/ma-user/x", "lies over /home/ma-user", "elsewhere"),
    ),
    ("mount-home", {"mounts": ["/srv:/home"]}, ("mounts[0].target", "/home", "lies over /home/ma-user", "elsewhere")),
    (
        "mount-relative",
        {"mounts": [{"source": "data", "target": "/data"}]},
        ("mounts[0].source", "data", "is not an absolute path", "beginning with /"),
    ),
    ("mount-target", {"mounts": ["/data:data"]}, ("mounts[0].target", "data", "is not an absolute path", "whole path")),
    (
        "mount-twice",
        {"mounts": ["/a:/data", "/b:/data/"]},
        ("mounts[1].target", "/data", "is the target of mounts[0] already", "once"),
    ),
    (
        "mount-over-model",
        {"model": "/m", "mounts": ["/b:/m"]},
        ("mounts[0].target", "/m", "is the target of model already", "once"),
    ),
    (
        "mount-text",
        {"mounts": ["/data"]},
        ("mounts[0]", "/data", "is not source:target or source:target:ro", "key: value"),
    ),
    ("mount-root", {"mounts": ["/data:/"]}, ("mounts[0].target", "/", "would hide the whole image", "below /")),
    ("mounts-text", {"mounts": "/a:/b"}, ("mounts", "/a:/b", "is not a list", "a dash")),
    (
        "mount-mode",
        {"mounts": [{"source": "/a", "target": "/b", "create": {"mode": 493}}]},
        ("mounts[0].create.mode", "493", "is not text", "in quotes"),
    ),
    (
        "mount-tmpfs-source",
        {"mounts": [{"type": "tmpfs", "source": "/a", "target": "/b"}]},
        ("mounts[0].source", "/a", "has no meaning for a tmpfs", "Leave it out"),
    ),
    ("work-dir", {"work_dir": "/home/ma-user"}, ("work_dir", "/home/ma-user", "lies over", "another folder")),
    ("model-relative", {"model": "models/x"}, ("model", "models/x", "is not an absolute path", "whole path")),
    ("model-dots", {"model": "/m/../x"}, ("model", "/m/../x", "holds ..", "without them")),
    ("shm-size", {"shm_size": "16 gigs"}, ("shm_size", "16 gigs", "is not a size", "16g")),
    (
        "shm-over-memory",
        {"shm_size": "2g", "memory": "1g"},
        ("shm_size", "2147483648", "is larger than memory", "Raise memory"),
    ),
    ("memory-zero", {"memory": 0}, ("memory", "0", "is not a size", "16g")),
    ("cpus", {"cpus": 0}, ("cpus", "0", "is out of range", "above 0")),
    ("on-change", {"on_change": "recreat"}, ("on_change", "recreat", "is not among", "Did you mean recreate?")),
    ("probe-type", {"probe": "ping"}, ("probe", "ping", "is not among the choices", "http, tcp, command, none")),
    ("probe-silent", {"probe": {"timeout": 9}}, ("probe.type", "", "is missing", "http, tcp, command or none")),
    ("probe-no-path", {"probe": "http"}, ("probe.path", "", "is missing", "answers 200")),
    ("probe-no-command", {"probe": "command"}, ("probe.command", "", "is missing", "ends with 0")),
    ("probe-no-port", {"port": None}, ("probe.type", "http", "needs a port", "Add port")),
    (
        "probe-mixed",
        {"probe": {"type": "tcp", "path": "/"}},
        ("probe.path", "/", "does not go with probe type tcp", "Use type http"),
    ),
    (
        "probe-expects-nothing",
        {"probe": {"steps": [{"path": "/", "expect": [{"path": "a"}]}]}},
        ("probe.steps[0].expect[0]", "[]", "does not say exactly one thing", "one of type, equals and contains"),
    ),
    (
        "probe-step-of-two-kinds",
        {"probe": {"steps": [{"path": "/", "forbid": ["failed"]}]}},
        ("probe.steps[0]", "", "does not ask exactly one thing", "one of path, command and forbid"),
    ),
    (
        "probe-rejects-nothing",
        {"probe": {"steps": [{"path": "/", "reject": [{"path": "a"}]}]}},
        ("probe.steps[0].reject[0]", "[]", "does not say exactly one thing", "one of type, equals and contains"),
    ),
    (
        "probe-captures-random",
        {"probe": {"steps": [{"path": "/", "capture": {"random": "a"}}]}},
        ("probe.steps[0].capture.random", "random", "is no name for a value", "has a meaning already"),
    ),
    (
        "probe-method",
        {"probe": {"steps": [{"path": "/", "method": "get"}]}},
        ("probe.steps[0].method", "get", "is not among the choices", "GET"),
    ),
    ("command-quotes", {"command": "sh -c 'x"}, ("command", "sh -c 'x", "cannot be split", "Close the quotes")),
    ("command-bool", {"command": ["run", True]}, ("command[1]", "true", "is not a word", "in quotes")),
    ("device-card", {"devices": ["/dev/davinci3"]}, ("devices[0]", "/dev/davinci3", "is a card", "under npus")),
    ("device", {"devices": ["sda"]}, ("devices[0]", "sda", "is not /dev/x", "Correct")),
    (
        "container-port-host",
        {"network": "host", "container_port": 81},
        ("container_port", "81", "differs from port", "Leave container_port out"),
    ),
    ("ports-host", {"network": "host", "ports": ["81:80"]}, ("ports", "1", "cannot be published", "network bridge")),
    ("ports-form", {"ports": ["a:b"]}, ("ports[0]", "a:b", "is not a port, host:container or", "key: value")),
    ("ports-own", {"ports": [8080]}, ("port", "8080", "is published by web too", "another port")),
    (
        "label-own",
        {"labels": {"io.ascend.fleet.kind": "x"}},
        ("labels.io.ascend.fleet.kind", "x", "name space", "other"),
    ),
    (
        "ulimit-name",
        {"ulimits": {"memlok": -1}},
        ("ulimits.memlok", "-1", "is no limit that there is", "mean memlock?"),
    ),
    ("ipc", {"ipc": "hostt"}, ("ipc", "hostt", "is not none, private, shareable, host or", "Correct")),
    (
        "extra-host-address",
        {"extra_hosts": ["db:10.0.0.300"]},
        ("extra_hosts[0]", "db:10.0.0.300", "has no IP address", "host-gateway"),
    ),
    ("work-dir-system", {"work_dir": "/etc/x"}, ("work_dir", "/etc/x", "belongs to the system of the node", "another")),
    (
        "secrets-at-one-path",
        {
            "secrets": [
                {"name": "a", "file": "good.key", "target": "/x"},
                {"name": "b", "file": "good.key", "target": "/x"},
            ]
        },
        ("mounts", "/x", "is mounted twice in the container", "a folder of its own"),
    ),
    ("ulimit", {"ulimits": {"memlock": "all"}}, ("ulimits.memlock", "all", "is no limit", "-1 for none")),
    ("restart-bool", {"restart": "sometimes"}, ("restart", "sometimes", "is not among", "always, no")),
    ("capability", {"cap_add": ["sys-nice"]}, ("cap_add[0]", "sys-nice", "is not a capability", "SYS_NICE")),
    (
        "capability-name",
        {"cap_drop": ["SYS_NICF"]},
        ("cap_drop[0]", "SYS_NICF", "is not a capability", "mean SYS_NICE"),
    ),
    (
        "image-archive-folder",
        {"image": {"reference": "web", "archive": "."}},
        ("image.archive", ".", "is a directory", "C"),
    ),
    (
        "secret-binary",
        {"secrets": [{"name": "key", "file": "binary.key"}]},
        ("secrets[0].file", "binary.key", "is no text in UTF-8", "0600"),
    ),
    ("init", {"init": "maybe"}, ("init", "maybe", "is neither true nor false", "true or false")),
    ("reach-port", {"reach": [{"nodes": "all"}]}, ("reach[0].port", "", "is missing", "Add reach[0].port")),
    (
        "reach-nowhere",
        {"reach": [{"nodes": "nowhere", "port": 1}]},
        ("reach[0].nodes", "nowhere", "matches no host", "a group, a host"),
    ),
    ("name-line-end", {"name": "web\n"}, ("name", r'"web\n"', "is no valid name", "small letters")),
    ("name-blank", {"name": " web"}, ("name", '" web"', "is no valid name", "small letters")),
    ("kind-blank", {"kind": "vllm "}, ("kind", '"vllm "', "is no kind", "Did you mean vllm?")),
    ("image-line-end", {"image": "web:1\n"}, ("image", r'"web:1\n"', "is not an image reference", "Correct")),
    ("image-port", {"image": "reg:99999/web:1"}, ("image", "reg:99999/web:1", "has the port 99999", "to 65535")),
    ("image-long", {"image": f"reg/{'a' * 255}"}, ("image", f"reg/{'a' * 73}...", "longer than 255", "shorter name")),
    (
        "image-two-digests",
        {"image": {"reference": f"web@{SHA}", "digest": f"sha256:{'b' * 64}"}},
        ("image.digest", f"sha256:{'b' * 64}", "is not that of image.reference", "once"),
    ),
    ("port-digits", {"port": "9" * 5000}, ("port", f"{'9' * 77}...", "is not a whole number", "whole number")),
    ("port-other-digits", {"port": "٨٠"}, ("port", "٨٠", "is not a whole number", "whole number")),
    ("cpus-digits", {"cpus": 10**400}, ("cpus", f"1{'0' * 76}...", "is not a finite number", "Write a number")),
    ("memory-digits", {"memory": "9" * 400 + "t"}, ("memory", f"{'9' * 77}...", "is not a size", "16g")),
    ("memory-too-large", {"memory": "9999999999t"}, ("memory", "9999999999t", "is not a size", "16g")),
    ("memory-no-unit", {"memory": 64}, ("memory", "64", "is less than 6m, since a number without", "as in 16g")),
    ("shm-no-unit", {"shm_size": "16"}, ("shm_size", "16", "is less than 1m, since a number without", "as in 16g")),
    ("bind-zone", {"bind": "fe80::1%eth0"}, ("bind", "fe80::1%eth0", "is not an IP address", "0.0.0.0")),
    ("user-negative", {"user": -1}, ("user", "-1", "is no user", "such as 1000")),
    ("user-two-words", {"user": "ma user"}, ("user", "ma user", "is no user", "perhaps with :group")),
    ("nodes-no-item", {"nodes": []}, ("nodes", "[]", "names no host", "leave the key out")),
    ("nodes-comma", {"nodes": " , "}, ("nodes", '" , "', "names no host", "leave the key out")),
    ("env-null-character", {"env": {"A": "x\0y"}}, ("env.A", "x\0y", "holds a null character", "without it")),
    ("env-mapping", {"env": {"A": {"b": "c"}}}, ("env.A", '{"b": "c"}', "is not text", "Write text")),
    ("command-null-character", {"command": ["a\0b"]}, ("command[0]", "a\0b", "holds a null character", "without it")),
    ("mount-dots", {"mounts": ["/a/../b:/c"]}, ("mounts[0].source", "/a/../b", "holds ..", "without it")),
    (
        "mount-volume-name",
        {"mounts": [{"type": "volume", "source": "a b", "target": "/c"}]},
        ("mounts[0].source", "a b", "is no name of a volume", "Name a volume"),
    ),
    (
        "mount-proc",
        {"mounts": ["/a:/proc/x"]},
        ("mounts[0].target", "/proc/x", "belongs to the container's runtime", "elsewhere"),
    ),
    ("probe-blank", {"probe": {"path": "/a b"}}, ("probe.path", "/a b", "holds what no request may", "%20")),
    (
        "probe-address",
        {"probe": {"path": "http://x/"}},
        ("probe.path", "http://x/", "not the path of a", "host and port"),
    ),
    (
        "probe-header-lines",
        {"probe": {"steps": [{"path": "/", "headers": {"X": "a\r\nB: c"}}]}},
        ("probe.steps[0].headers.X", "a B: c", "holds what no header may", "one line"),
    ),
    (
        "probe-command-and-path",
        {"probe": {"path": "/", "command": ["true"]}},
        ("probe.command", '["true"]', "stands beside path or steps", "Leave one of them out"),
    ),
    (
        "secret-missing",
        {"secrets": [{"name": "key", "file": "no"}]},
        ("secrets[0].file", "no", "cannot be read", "0600"),
    ),
    (
        "secret-open",
        {"secrets": [{"name": "key", "file": "open.key"}]},
        ("secrets[0].file", "open.key", "has mode 0644", "chmod 0600"),
    ),
]

CHAT_CASES: list[tuple[str, dict[str, Any], tuple[str, str, str, str]]] = [
    ("no-model", {"model": None}, ("model", "", "is missing", "Kind vllm needs it")),
    (
        "tp-too-large",
        {"tensor_parallel_size": 4},
        ("tensor_parallel_size", "4", "needs 4 cards, but npus gives 2", "npus: 4"),
    ),
    ("tp-too-small", {"tensor_parallel_size": 1}, ("tensor_parallel_size", "1", "leaves 1 of 2 cards idle", "npus: 1")),
    ("tp-on-cpu", {"npus": 0, "tensor_parallel_size": 2}, ("tensor_parallel_size", "2", "npus is 0", "npus: 2")),
    (
        "tp-times-pp",
        {"tensor_parallel_size": 2, "extra_args": ["--pipeline-parallel-size", "2"]},
        ("tensor_parallel_size", "2", "needs 4 cards", "npus: 4"),
    ),
    ("utilization", {"gpu_memory_utilization": 90}, ("gpu_memory_utilization", "90", "is out of range", "up to 1")),
    ("utilization-zero", {"gpu_memory_utilization": 0}, ("gpu_memory_utilization", "0", "is out of range", "above 0")),
    (
        "utilization-list",
        {"gpu_memory_utilization": [0.9]},
        ("gpu_memory_utilization", "[0.9]", "is not a number", "Write a number"),
    ),
    (
        "utilization-bool",
        {"gpu_memory_utilization": True},
        ("gpu_memory_utilization", "true", "is not a number", "Write a number"),
    ),
    (
        "utilization-word",
        {"gpu_memory_utilization": "most"},
        ("gpu_memory_utilization", "most", "is not a number", "Write a number"),
    ),
    (
        "utilization-nan",
        {"gpu_memory_utilization": "nan"},
        ("gpu_memory_utilization", "nan", "is not a finite number", "Write a number"),
    ),
    ("max-len", {"max_model_len": "32K"}, ("max_model_len", "32K", "is not a whole number", "whole number")),
    ("model-kind", {"model_kind": "chat"}, ("model_kind", "chat", "is not among", "generate, embed, rerank")),
    ("dtype", {"dtype": "fp16"}, ("dtype", "fp16", "is not among", "float16")),
    ("key-file-missing", {"api_key_file": "none.key"}, ("api_key_file", "none.key", "cannot be read", "chmod 0600")),
    ("key-file-open", {"api_key_file": "open.key"}, ("api_key_file", "open.key", "has mode 0644", "chmod 0600")),
    ("key-file-empty", {"api_key_file": "empty.key"}, ("api_key_file", "empty.key", "is empty", "chmod 0600")),
    ("key-in-args", {"extra_args": ["--api-key", "s3cret"]}, ("extra_args", "--api-key", "is written", "api_key_file")),
    (
        "key-in-args-equals",
        {"extra_args": "--api-key=s3cret"},
        ("extra_args", "--api-key", "is written", "api_key_file"),
    ),
    ("key-in-env", {"env": {"VLLM_API_KEY": "s3cret"}}, ("env.VLLM_API_KEY", "", "would show the key", "api_key_file")),
    ("key-as-key", {"api_key": "s3cret"}, ("api_key", "(hidden)", "is no key of this entry", "api_key_file")),
    ("own-argument", {"extra_args": ["--port", "1"]}, ("extra_args", "--port", "is written", "Use the key port")),
    (
        "own-argument-_",
        {"extra_args": ["--max_model_len=9"]},
        ("extra_args", "--max-model-len", "is written", "max_model"),
    ),
    (
        "two-words-in-one",
        {"extra_args": ["--max-num-seqs 8"]},
        ("extra_args[0]", "--max-num-seqs 8", "is an option and its value in one word", "Make two items"),
    ),
    (
        "parser-of-embedding",
        {"model_kind": "embed", "reasoning_parser": "deepseek_r1"},
        ("reasoning_parser", "deepseek_r1", "has no meaning for model_kind embed", "Leave it out"),
    ),
    (
        "model-under-home",
        {"model": "/home/ma-user/m"},
        ("model.path", "/home/ma-user/m", "lies over", "another folder"),
    ),
]

# Host variables beside one entry that is right.
SETTING_CASES: list[tuple[str, dict[str, Any], tuple[str, str, str, str]]] = [
    (
        "misspelt",
        {"fleet_metdata_block": "absent"},
        ("fleet_metdata_block", "absent", "is no variable", "fleet_metadata_block"),
    ),
    ("unknown", {"fleet_colour": "red"}, ("fleet_colour", "red", "is no variable of the collection", "Remove it")),
    ("choice", {"fleet_metadata_block": "on"}, ("fleet_metadata_block", "on", "is not among", "present, absent")),
    (
        "bool",
        {"fleet_ip_forward": "maybe"},
        ("fleet_ip_forward", "maybe", "is neither true nor false", "true or false"),
    ),
    ("int", {"fleet_npus_expected": "eight"}, ("fleet_npus_expected", "eight", "is not a whole number", "number")),
    (
        "alias",
        {"npus_expected": -1, "fleet_npus_expected": None},
        ("fleet_npus_expected", "-1", "is out of range", "0 to 64"),
    ),
    ("path", {"fleet_work_dir": "work"}, ("fleet_work_dir", "work", "is not an absolute path", "whole path")),
    ("dict", {"fleet_docker_daemon": []}, ("fleet_docker_daemon", "[]", "is not a mapping", "key: value")),
    (
        "daemon-hosts",
        {"fleet_docker_daemon": {"hosts": []}},
        ("fleet_docker_daemon.hosts", "[]", "is set by the collection", "fleet_docker_socket"),
    ),
    ("proxy-key", {"fleet_proxy": {"htp": "x"}}, ("fleet_proxy.htp", "x", "is no key of this fleet_proxy", "http?")),
    (
        "proxy-url",
        {"fleet_proxy": {"http": "proxy:3128"}},
        ("fleet_proxy.http", "proxy:3128", "is not a URL", "Correct"),
    ),
    (
        "address",
        {"fleet_metadata_addresses": ["x"]},
        ("fleet_metadata_addresses[0]", "x", "is not an IP address", "address"),
    ),
    (
        "port",
        {"fleet_metadata_except_ports": [0]},
        ("fleet_metadata_except_ports[0]", "0", "is out of range", "from 1"),
    ),
    ("address-words", {"fleet_address": "the first"}, ("fleet_address", "the first", "is not an address", "Correct")),
    ("work-dir-system", {"fleet_work_dir": "/etc/x"}, ("fleet_work_dir", "/etc/x", "belongs to the system", "/srv/")),
    (
        "daemon-list",
        {"fleet_docker_daemon": {"insecure-registries": "reg:5000"}},
        ("fleet_docker_daemon.insecure-registries", "reg:5000", "is not a list of texts", "with a dash"),
    ),
    (
        "daemon-null",
        {"fleet_docker_daemon": {"registry-mirrors": None}, "fleet_dragonfly": "http://127.0.0.1:4001"},
        ("fleet_docker_daemon.registry-mirrors", "", "is not a list of texts", "leave the key out"),
    ),
    (
        "daemon-log-opts",
        {"fleet_docker_daemon": {"log-opts": {"max-file": 3}}},
        ("fleet_docker_daemon.log-opts.max-file", "3", "is not a text", "max-file: '3'"),
    ),
    (
        "daemon-log-opts-list",
        {"fleet_docker_daemon": {"log-opts": ["max-file=3"]}},
        ("fleet_docker_daemon.log-opts", '["max-file=3"]', "is not a mapping", "key: value"),
    ),
    (
        "daemon-switch",
        {"fleet_docker_daemon": {"live-restore": "true"}},
        ("fleet_docker_daemon.live-restore", "true", "is neither true nor false", "without quotes"),
    ),
    (
        "daemon-number",
        {"fleet_docker_daemon": {"mtu": "1500"}},
        ("fleet_docker_daemon.mtu", "1500", "is not a whole number", "without quotes"),
    ),
    (
        "daemon-key-text",
        {"fleet_docker_daemon": {"bip": 172}},
        ("fleet_docker_daemon.bip", "172", "is not a text", "one text"),
    ),
    (
        "directory-twice",
        {"fleet_directories": [{"path": "/a", "mode": "0700"}, {"path": "/a/", "mode": "0755"}]},
        ("fleet_directories[1].path", "/a", "is the folder of fleet_directories[0] too", "once"),
    ),
    (
        "directory-work-dir",
        {"fleet_work_dir": "/a", "fleet_directories": [{"path": "/a", "mode": "0700"}]},
        ("fleet_directories[0].path", "/a", "is the folder of fleet_work_dir too", "once"),
    ),
    (
        "directory-system",
        {"fleet_directories": [{"path": "/etc", "mode": "0700"}]},
        ("fleet_directories[0].path", "/etc", "belongs to the system", "below it"),
    ),
    (
        "mount-lib64",
        {"fleet_mounts": [{"path": "/lib64/x", "source": "192.0.2.20:/"}]},
        ("fleet_mounts[0].path", "/lib64/x", "belongs to the system", "elsewhere"),
    ),
    (
        "mount-nfs-source",
        {"fleet_mounts": [{"path": "/mnt/a", "source": "192.0.2.20"}]},
        ("fleet_mounts[0].source", "192.0.2.20", "is no source of nfs", "host:/folder"),
    ),
    (
        "registry-port",
        {"fleet_registries": [{"address": "reg:99999"}]},
        ("fleet_registries[0].address", "reg:99999", "has the port 99999", "from 1 to 65535"),
    ),
    (
        "proxy-port",
        {"fleet_proxy": {"https": "http://proxy:99999/"}},
        ("fleet_proxy.https", "http://proxy:99999/", "has the port 99999", "from 1 to 65535"),
    ),
    (
        "index-without-scheme",
        {"fleet_services_b": [{**DRAW, "pip": {"index_url": "pypi.example/simple"}}]},
        ("pip.index_url", "pypi.example/simple", "is not the address of an index", "Correct"),
    ),
    (
        "git-blank",
        {"fleet_services_b": [{**DRAW, "source": "-c x"}]},
        ("source", "-c x", "is not the address of a repository", "Correct"),
    ),
    (
        "folder-twice",
        {"fleet_services_b": [{**DRAW, "input_dir": "/mnt/a", "output_dir": "/mnt/a"}]},
        ("mounts", "/mnt/a", "is mounted twice in the container", "a folder of its own"),
    ),
    ("batch-line-end", {"fleet_batch": "25%\n"}, ("fleet_batch", r'"25%\n"', "is no batch size", "percentage")),
    ("batch", {"fleet_batch": "half"}, ("fleet_batch", "half", "is no batch size", "percentage")),
    ("batch-zero", {"fleet_batch": [1, 0]}, ("fleet_batch", "0", "is no batch size", "percentage")),
    (
        "directory",
        {"fleet_directories": [{"mode": "0755"}]},
        ("fleet_directories[0].path", "", "is missing", "Add fleet_"),
    ),
    (
        "registry",
        {"fleet_registries": ["http://r"]},
        ("fleet_registries[0]", "http://r", "is not a mapping", "key: value"),
    ),
    (
        "wheels",
        {"fleet_sdk_wheels": "good.key"},
        ("fleet_sdk_wheels", "good.key", "is no directory", "holds the wheels"),
    ),
    ("no-wheels", {"fleet_sdk_wheels": "no"}, ("fleet_sdk_wheels", "no", "cannot be read", "holds the wheels")),
    ("bundle", {"fleet_ca_bundle": "no.pem"}, ("fleet_ca_bundle", "no.pem", "cannot be read", "certificates")),
    ("only", {"fleet_only": ["wbe"]}, ("fleet_only", "wbe", "is the name of no entry", "Did you mean web?")),
    ("soc", {"fleet_soc": "H100"}, ("fleet_soc", "H100", "is no chip of the table", "910B3")),
    ("lease", {"fleet_lease_seconds": 1}, ("fleet_lease_seconds", "1", "is out of range", "from 30")),
    (
        "services-text",
        {"fleet_services_x": '[{"name": "a", "init": true}]'},
        ("", "{", "is not a list of entries", "write it in YAML, or with True"),
    ),
    (
        "daemon-text",
        {"fleet_docker_daemon": '{"debug": true}'},
        ("fleet_docker_daemon", '{"debug": true}', "is not a mapping", "write it in YAML, or with True"),
    ),
    ("hosts", {"fleet_hosts": "all:!n1"}, ("fleet_hosts", "all:!n1", "does not match this node", "with -e or in")),
    ("services-dict", {"fleet_services_x": {"name": "a"}}, ("", "{", "is not a list of entries", "one entry a dash")),
    ("entry-text", {"fleet_services_x": ["chat"]}, ("", "chat", "is not an entry", "name: and kind:")),
    ("service-as-job", {"fleet_jobs": [WEB]}, ("kind", "container", "is a service", "fleet_services variable")),
    (
        "name-twice",
        {"fleet_services_b": [{**WEB, "port": 81}]},
        ("name", "web", "is the name of fleet_services[0] web too", "own"),
    ),
    ("port-twice", {"fleet_services_b": [{**WEB, "name": "w2"}]}, ("port", "8080", "is published by web too", "bind")),
    (
        "port-everywhere",
        {"fleet_services_b": [{**WEB, "name": "w2", "bind": "0.0.0.0"}]},
        ("port", "8080", "is published by web too", "bind"),
    ),
    (
        "port-of-host-network",
        {"fleet_services_b": [{**WEB, "name": "w2", "network": "host"}]},
        ("port", "8080", "is published by web too", "bind"),
    ),
    (
        "port-of-instance",
        {"fleet_services_b": [{**WEB, "name": "w2", "port": 8079, "instances": 2}]},
        ("port", "8080", "is published by web too", "bind"),
    ),
    (
        "name-of-instance",
        {"fleet_services_b": [{**WEB, "name": "we", "port": 90, "instances": 1}, {**WEB, "name": "we-0", "port": 99}]},
        ("name", "we-0", "is the name of fleet_services_b[0] we too", "own"),
    ),
    (
        "card-twice",
        {"fleet_services_b": [{**CHAT, "npus": [0, 1]}, {**CHAT, "name": "c2", "port": 1, "npus": [1, 2]}]},
        ("npus", "[1, 2]", "names card 1, which chat has too", "each card to one"),
    ),
    (
        "image-twice",
        {"fleet_services_b": [{**WEB, "name": "w2", "port": 1, "image": {"reference": WEB["image"], "digest": SHA}}]},
        ("image.digest", SHA, "is not that of web, which has none for the same image", "another tag"),
    ),
]

CASES = (
    [pytest.param({"fleet_services": [{**WEB, **c}]}, e, id=f"web-{i}") for i, c, e in WEB_CASES]
    + [pytest.param({"fleet_services": [{**CHAT, **c}]}, e, id=f"chat-{i}") for i, c, e in CHAT_CASES]
    + [pytest.param({"fleet_services": [WEB], **c}, e, id=f"setting-{i}") for i, c, e in SETTING_CASES]
)


@pytest.fixture
def files(tmp_path: Path) -> None:
    keys = (("open", b"s3cret", 0o644), ("empty", b"", 0o600), ("good", b"s3cret", 0o600), ("binary", b"\xff", 0o600))
    for name, content, mode in keys:
        (tmp_path / f"{name}.key").write_bytes(content)
        (tmp_path / f"{name}.key").chmod(mode)


def test_there_are_enough_cases():
    assert len(CASES) >= 45
    assert len({str(case.id) for case in CASES}) == len(CASES)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("values", "expected"), CASES)
def test_a_wrong_value_gives_one_clear_message(compile_inventory, values, expected):
    key, value, message, remedy = expected
    compiled = compile_inventory({"n1": {"fleet_npus_expected": 8, **values}})
    assert [_problems.line(error) for error in compiled.errors][1:] == []
    error = compiled.errors[0]
    assert error["key"] == key
    assert value in error["value"] if value == "{" else error["value"] == value
    assert message in error["message"]
    assert remedy in error["remedy"]
    line = _problems.line(error)
    assert line.endswith("(n1)")
    assert "\n" not in line
    assert "s3cret" not in line
    assert compiled.documents == {}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("base", [WEB, CHAT], ids=["web", "chat"])
def test_the_entries_that_the_cases_change_are_right(compile_inventory, base):
    assert compile_inventory({"n1": {"fleet_services": [base], "fleet_npus_expected": 8}}).errors == []


def test_all_errors_of_all_entries_of_all_hosts_come_at_once(compile_inventory):
    wrong = [{**WEB, "port": 0, "on_change": "x"}, {**CHAT, "model": "x", "shm_size": "big"}]
    compiled = compile_inventory(
        {"n1": {"fleet_services": wrong}, "n2": {"fleet_services": [{**WEB, "bind": "here"}], "fleet_prune": "yes"}}
    )
    assert sorted((e["hosts"][0], e["entry"] or "", e["key"]) for e in compiled.errors) == [
        ("n1", "chat", "model"),
        ("n1", "chat", "shm_size"),
        ("n1", "web", "on_change"),
        ("n1", "web", "port"),
        ("n2", "", "fleet_prune"),
        ("n2", "web", "bind"),
    ]
    assert _problems.message(compiled.errors).splitlines()[0] == "The inventory has 6 errors; nothing was contacted."
    assert len(_problems.message(compiled.errors).splitlines()) == 7


@pytest.mark.parametrize("content", [b"\x30\x82\x05\xff", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_bundle_without_certificates_is_refused(compile_inventory, tmp_path, content):
    (tmp_path / "ca.der").write_bytes(content)
    (error,) = compile_inventory({"n1": {"fleet_ca_bundle": "ca.der"}}).errors
    assert (error["key"], error["value"]) == ("fleet_ca_bundle", "ca.der")
    assert "holds no certificate in PEM form" in _problems.line(error)


def test_all_wrong_parts_of_one_value_come_at_once(compile_inventory):
    wrong = {**WEB, "env": {"A": 1, "b-c": "x", "D": True}, "command": ["run", None, True]}
    compiled = compile_inventory({"n1": {"fleet_services": [wrong]}})
    assert [e["key"] for e in compiled.errors] == ["env.A", "env.b-c", "env.D", "command[1]", "command[2]"]


@pytest.mark.parametrize("path", ["/health/", "/check?url=http://inner//x&to=../y"])
def test_the_path_of_a_request_stays_as_it_is_written(compile_inventory, path):
    (service,) = compile_inventory.document({"fleet_services": [{**WEB, "probe": {"path": path}}]})["services"]
    assert service["probe"]["steps"][0]["path"] == path


@pytest.mark.parametrize("user", [1000, "1000:1000", "ma-user"])
def test_a_user_may_be_a_number_or_a_name_with_a_group(compile_inventory, user):
    (service,) = compile_inventory.document({"fleet_services": [{**WEB, "user": user}]})["services"]
    assert service["container"]["user"] == str(user)


def test_a_selection_is_not_compared_with_entries_that_cannot_be_read(compile_inventory):
    compiled = compile_inventory({"n1": {"fleet_services": "[web]", "fleet_only": ["web"]}})
    assert [error["where"] for error in compiled.errors] == ["fleet_services"]


def test_an_error_that_many_hosts_share_is_said_once(compile_inventory):
    hosts = {f"n{number}": {"fleet_services": [{**WEB, "port": 0}]} for number in range(1, 6)}
    compiled = compile_inventory(hosts)
    assert len(compiled.errors) == 1
    assert _problems.line(compiled.errors[0]).endswith("(n1, n2, n3 and 2 more)")


def test_every_error_is_a_finding_for_the_verdict(compile_inventory):
    compiled = compile_inventory({"n1": {"fleet_services": [{**WEB, "port": 0}]}})
    (finding,) = _problems.findings(compiled.errors)
    assert (finding["check"], finding["host"], finding["service"], finding["key"]) == (
        "inventory-invalid",
        "n1",
        "web",
        "port",
    )
    assert finding["severity"] == "error"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.HF_TOKEN", "abc"),
        ("api_key", "abc"),
        ("password", 123),
        ("command", ["serve", "--api-key", "abc"]),
        ("fleet_proxy.http", "http://user:abc@proxy"),
        ("fleet_proxy.http", "user:abc@proxy:3128"),
        ("probe.steps[0].headers", {"Authorization": "Bearer abc"}),
    ],
)
def test_secrets_are_not_shown(key, value):
    assert _problems.shown(key, value) == "(hidden)"


@pytest.mark.parametrize(
    ("key", "value"), [("api_key_file", "keys/chat"), ("extra_args", "--api-key"), ("image", "web:1@sha256:0a")]
)
def test_names_of_secrets_are_shown(key, value):
    assert _problems.shown(key, value) == value


def test_a_long_value_is_cut():
    assert len(_problems.shown("command", "x" * 500)) == _problems.SHOWN_VALUE
