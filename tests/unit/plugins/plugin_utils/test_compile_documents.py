# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What inventories compile to; the fixture checks every document against its schema."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base, table


def names(compiled: Any, host: str) -> list[str]:
    return [service["name"] for service in compiled.documents[host]["services"]]


# Merging and selection


def test_entries_of_all_variables_are_merged(compile_inventory, web):
    document = compile_inventory.document(
        {
            "fleet_services": [web()],
            "fleet_services_b": [web(name="b1", port=1), web(name="b2", port=2)],
            "fleet_services_a": [web(name="a1", port=3)],
            "unrelated": 1,
        }
    )
    assert [service["name"] for service in document["services"]] == ["web", "a1", "b1", "b2"]


def test_a_variable_that_only_begins_alike_is_refused(compile_inventory, web):
    compiled = compile_inventory({"n1": {"fleet_servicesllm": [web()]}})
    assert [error["key"] for error in compiled.errors] == ["fleet_servicesllm"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("npu_nodes", ["n1", "n2"]),
        ("npu_nodes:!n2", ["n1"]),
        ("n3,n1", ["n1", "n3"]),
        (["n2", "n3"], ["n2", "n3"]),
        ("n*:&spare", ["n3"]),
        ("~n[12]", ["n1", "n2"]),
        ("npu_nodes[0]", ["n1"]),
    ],
)
def test_nodes_is_a_host_pattern_of_ansible(compile_inventory, web, pattern, expected):
    hosts = {name: {"fleet_services": [web(nodes=pattern)]} for name in ("n1", "n2", "n3")}
    compiled = compile_inventory(hosts, groups={"npu_nodes": ["n1", "n2"], "spare": ["n3"]})
    assert compiled.errors == []
    assert [host for host in hosts if names(compiled, host)] == expected


def test_replicas_are_the_first_nodes_whatever_the_limit(compile_inventory, web):
    hosts = {name: {"fleet_services": [web(nodes="n2,n3,n4", replicas=2)]} for name in ("n1", "n2", "n3", "n4")}
    whole = compile_inventory(hosts)
    assert [host for host in hosts if names(whole, host)] == ["n2", "n3"]
    limited = compile_inventory(hosts, limit=["n4"])
    assert limited.documents == {"n4": whole.documents["n4"]}


def test_replicas_count_only_nodes_that_see_the_entry(compile_inventory, web):
    hosts = {"n1": {}, "n2": {"fleet_services": [web(replicas=1)]}, "n3": {"fleet_services": [web(replicas=1)]}}
    compiled = compile_inventory(hosts)
    assert [host for host in hosts if names(compiled, host)] == ["n2"]


def test_an_absent_entry_is_absent_everywhere(compile_inventory, web):
    hosts = {name: {"fleet_services": [web(replicas=1, state="absent")]} for name in ("n1", "n2")}
    compiled = compile_inventory(hosts)
    assert [compiled.documents[host]["services"][0]["state"] for host in hosts] == ["absent", "absent"]


def test_absent_needs_only_a_name(compile_inventory):
    service = compile_inventory.service({"name": "old", "kind": "vllm", "state": "absent"})
    assert service["container"]["image"] is None
    assert service["checks"] == []


def test_only_selects_entries_and_instances(compile_inventory, web):
    entries = [web(), web(name="many", port=9000, instances=3)]
    for only, expected in (
        ([], ["web", "many-0", "many-1", "many-2"]),
        (["many"], ["many-0", "many-1", "many-2"]),
        ("web,many-1", ["web", "many-1"]),
    ):
        document = compile_inventory.document({"fleet_services": entries, "fleet_only": only})
        assert [service["name"] for service in document["services"]] == expected
        # The rest of the node's services is no orphan because it was not selected.
        assert document["prune"] == ("ignore" if only else "report")


def test_only_does_not_move_cards(compile_inventory, chat):
    entries = [chat(name="aa", port=1), chat(name="bb", port=2)]
    values = {"fleet_services": entries, "fleet_npus_expected": 8}
    whole = compile_inventory.document(values)["services"]
    part = compile_inventory.document({**values, "fleet_only": ["bb"]})["services"]
    assert part == whole[1:]


def test_entries_of_a_single_role_stand_for_the_inventory(compile_inventory, web):
    document = compile_inventory.document({"fleet_services": [web()]}, entries=[web(name="own")])
    assert [service["name"] for service in document["services"]] == ["own"]
    assert document["prune"] == "ignore"


def test_variables_of_the_play_stand_above_the_inventory(compile_inventory, web):
    hosts = {"n1": {"fleet_prune": "report", "fleet_services": [web()]}, "n2": {"fleet_work_dir": "/a"}}
    play = {
        "fleet_prune": "remove",
        "fleet_services_x": [web(name="xx", port=1)],
        "fleet_work_dir": _default("work_dir"),
    }
    compiled = compile_inventory(hosts, play=play)
    assert names(compiled, "n1") == ["web", "xx"]
    assert names(compiled, "n2") == ["xx"]
    assert [compiled.documents[host]["prune"] for host in hosts] == ["remove", "remove"]
    # A role default is among the play's variables too, and stands below the inventory.
    assert compiled.documents["n2"]["host"]["work_dir"] == "/a"


def _default(name: str) -> Any:
    return _data.defaults()[f"fleet_{name}"]


# Instances and cards


def test_instances_get_names_ports_and_cards_of_their_own(compile_inventory, web):
    document = compile_inventory.document(
        {"fleet_services": [web(instances=2, npus=[4, 5, 6, 7], port=8183)], "fleet_npus_expected": 8}
    )
    found = [
        (s["name"], s["entry"], s["npus"]["cards"], s["container"]["ports"][0]["host_port"], s["container"]["name"])
        for s in document["services"]
    ]
    assert found == [("web-0", "web", [4, 5], 8183, "web-0"), ("web-1", "web", [6, 7], 8184, "web-1")]


def test_a_number_of_cards_is_for_each_instance(compile_inventory, web):
    document = compile_inventory.document({"fleet_services": [web(instances=3, npus=1)], "fleet_npus_expected": 8})
    assert [service["predicted_cards"] for service in document["services"]] == [[0], [1], [2]]


def test_cards_are_predicted_from_what_the_node_should_have(compile_inventory, chat):
    entries = [chat(name="small", port=1, npus=1), chat(name="fixed", port=2, npus=[2, 3]), chat(port=3, npus=4)]
    document = compile_inventory.document({"fleet_services": entries, "fleet_npus_expected": 8})
    assert {s["name"]: s["predicted_cards"] for s in document["services"]} == {
        "small": [0],
        "fixed": [2, 3],
        "chat": [4, 5, 6, 7],
    }


def test_nothing_is_predicted_for_a_node_of_unknown_size(compile_inventory, chat, web):
    entries = [chat(), chat(name="fixed", port=1, npus=[1]), web()]
    document = compile_inventory.document({"fleet_services": entries})
    assert [service["predicted_cards"] for service in document["services"]] == [None, [1], []]


def test_cards_that_do_not_fit_are_a_finding_and_no_error(compile_inventory, chat):
    compiled = compile_inventory({"n1": {"fleet_services": [chat(npus=9)], "fleet_npus_expected": 8}})
    assert compiled.errors == []
    (finding,) = compiled.findings
    assert (finding["check"], finding["host"], finding["service"]) == ("placement", "n1", "chat")
    (row,) = compiled.table
    assert row["cards"] is None
    assert "9 more needed, 8 of 8 free" in row["problem"]


def test_pairs_are_predicted_for_a_chip_that_has_them(compile_inventory, chat):
    values = {"fleet_services": [chat(npus=1)], "fleet_npus_expected": 16, "fleet_soc": "Ascend910"}
    compiled = compile_inventory({"n1": values})
    assert "in pairs" in compiled.table[0]["problem"]


def test_stopped_services_keep_their_cards_and_free_their_port(compile_inventory, chat):
    entries = [chat(state="stopped"), chat(name="other")]
    document = compile_inventory.document({"fleet_services": entries, "fleet_npus_expected": 4})
    assert [service["predicted_cards"] for service in document["services"]] == [[0, 1], [2, 3]]


def test_npus_are_needed_only_where_a_service_uses_them(compile_inventory, chat, web):
    for entries in ([chat()], [web()], [chat(npus=0)], [chat(state="absent")], []):
        host = compile_inventory.document({"fleet_services": entries})["host"]
        assert (host["npus"]["needed"], host["wait_npus"]) == (entries == [chat()],) * 2


# The table


def test_the_table_has_a_row_for_each_container(compile_inventory, chat, web):
    compiled = compile_inventory(
        {"n1": {"fleet_services": [chat(), web()], "fleet_npus_expected": 8}, "n2": {"fleet_services": [web()]}}
    )
    assert [(row["node"], row["service"], row["cards"], row["port"]) for row in compiled.table] == [
        ("n1", "chat", [0, 1], 8000),
        ("n1", "web", [], 8080),
        ("n2", "web", [], 8080),
    ]
    assert set(compiled.table[0]) == {
        "node", "service", "kind", "state", "npus", "cards", "image", "port", "bind", "problem",
    }  # fmt: skip


# Ports


@pytest.mark.parametrize(
    "other",
    [
        {"bind": "10.0.0.1"},
        {"bind": "10.0.0.1", "instances": 1},
        {"state": "stopped"},
        {"state": "absent"},
        {"port": None, "probe": "none", "ports": [{"host_port": 8080, "protocol": "udp"}]},
        {"network": "none", "port": None, "probe": "none"},
    ],
)
def test_ports_that_do_not_meet(compile_inventory, web, other):
    assert compile_inventory.document({"fleet_services": [web(), web(name="w2", **other)]})


# The host


def test_the_host_part_of_an_empty_inventory(compile_inventory):
    host = compile_inventory.document({})["host"]
    assert host == {
        "work_dir": "/var/lib/ascend-fleet/work",
        "npus": {
            "needed": False,
            "expected": None,
            "npu_smi": None,
            "dev": "/dev",
            "sysfs": "/sys",
            "ascend_root": "/usr/local/Ascend",
            "timeout": 30,
        },
        "engine": {
            "kind": "docker",
            "manage": True,
            "socket": "/var/run/docker.sock",
            "package_dir": None,
            "daemon": {"log-driver": "json-file", "log-opts": {"max-size": "100m", "max-file": "5"}},
            "proxy": None,
        },
        "sdk": {"manage": True, "folder": "/var/lib/ascend-fleet/sdk"},
        "forwarding": {"manage": True, "ipv4": True, "ipv6": False, "neutralise": False},
        "metadata_block": {"state": "present", "addresses": ["169.254.169.254"], "except_ports": []},
        "directories": [{"path": "/var/lib/ascend-fleet/work", "owner": None, "group": None, "mode": "0755"}],
        "ca_bundle": None,
        "wait_npus": False,
        "wait_mounts": [],
        "mounts": [],
    }


def test_daemon_settings_are_merged(compile_inventory):
    values = {
        "fleet_docker_daemon": {"log-opts": {"max-file": "9"}, "data-root": "/data"},
        "fleet_registries": [{"address": "10.0.0.2:5000", "insecure": True}, {"address": "reg.example.com"}],
    }
    assert compile_inventory.document(values)["host"]["engine"]["daemon"] == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "100m", "max-file": "9"},
        "data-root": "/data",
        "insecure-registries": ["10.0.0.2:5000"],
    }


def test_another_log_driver_gets_no_options_it_does_not_know(compile_inventory):
    values = {"fleet_docker_daemon": {"log-driver": "journald"}}
    assert compile_inventory.document(values)["host"]["engine"]["daemon"] == {"log-driver": "journald"}


def test_the_proxy_leaves_out_the_networks_of_nodes_and_registries(compile_inventory):
    shared = {"fleet_proxy": {"http": "http://proxy:3128"}, "fleet_registries": [{"address": "reg.lan:5000"}]}
    addresses = {"n1": "10.0.0.1", "n2": "10.9.0.2", "n3": "fd00::7", "n4": "n4.cluster.lan"}
    hosts = {name: {**shared, "ansible_host": address} for name, address in addresses.items()} | {"n5": shared}
    whole = compile_inventory(hosts)
    limited = compile_inventory(hosts, limit=["n2"])
    expected = ["localhost", "127.0.0.1", "::1", "reg.lan", ".cluster.lan", "10.0.0.0/24", "10.9.0.0/24"]
    expected += ["fd00::/64", "n5"]
    assert whole.documents["n1"]["host"]["engine"]["proxy"] == {
        "http": "http://proxy:3128",
        "https": None,
        "no_proxy": expected,
        "login": False,
    }
    assert limited.documents["n2"] == whole.documents["n2"]
    # Another list would restart the engine of every node.
    more = {f"m{number}": {**shared, "ansible_host": f"10.0.0.{number}"} for number in range(10, 20)}
    assert compile_inventory({**hosts, **more}).documents["n1"] == whole.documents["n1"]


def test_the_login_of_a_proxy_stays_out_of_the_document(compile_inventory):
    values = {"fleet_proxy": {"http": "http://joe:s3cr@t@p:3128", "https": "https://p:3129"}}
    assert compile_inventory.document(values)["host"]["engine"]["proxy"] == {
        "http": "http://p:3128",
        "https": "https://p:3129",
        "no_proxy": ANY,
        "login": True,
    }


def test_the_users_own_no_proxy_is_taken_as_it_is(compile_inventory):
    values = {"fleet_proxy": {"https": "http://p:1", "no_proxy": [".lan"]}}
    assert compile_inventory.document(values)["host"]["engine"]["proxy"]["no_proxy"] == [".lan"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_ca_bundle_is_named_by_its_text(compile_inventory, tmp_path, line_end):
    lines = ["-----BEGIN CERTIFICATE-----", "MII=", "-----END CERTIFICATE-----", ""]
    (tmp_path / "ca.pem").write_bytes(line_end.join(lines).encode())
    assert compile_inventory.document({"fleet_ca_bundle": "ca.pem"})["host"]["ca_bundle"] == {
        "path": "/var/lib/ascend-fleet/ca-bundle.pem",
        "source": str(tmp_path / "ca.pem"),
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def test_the_engine_waits_for_what_services_mount(compile_inventory, chat, web):
    mounts = ["/mnt/data:/data", "/etc/x:/etc/x:ro", "cache:/cache", "/mnt/data:/again"]
    entries = [chat(work_dir="/srv/chat"), web(mounts=mounts), web(name="gone", state="absent", mounts=["/mnt/x:/x"])]
    assert compile_inventory.document({"fleet_services": entries})["host"]["wait_mounts"] == [
        "/mnt/data",
        "/mnt/models/tiny",
        "/srv/chat",
    ]


def test_jobs_are_not_waited_for(compile_inventory, web):
    job = {"name": "eval", "kind": "job", "image": "a/b:1", "mounts": ["/mnt/of-job:/data"]}
    values = {"fleet_services": [web(mounts=["/mnt/data:/data"])], "fleet_jobs": [job]}
    assert compile_inventory.document(values)["host"]["wait_mounts"] == ["/mnt/data"]


@pytest.mark.parametrize(("only", "needed"), [([], True), (["web"], False), (["chat"], True), (["many-1"], False)])
def test_the_host_waits_for_all_services_whichever_are_chosen(compile_inventory, chat, web, only, needed):
    many = web(name="many", port=9000, instances=3, mounts=["/mnt/many:/x"])
    entries = [web(mounts=["/mnt/data:/data"]), chat(), many, web(name="gone", state="absent", mounts=["/mnt/x:/x"])]
    host = compile_inventory.document({"fleet_services": entries, "fleet_only": only})["host"]
    assert (host["wait_npus"], host["npus"]["needed"]) == (True, needed)
    assert host["wait_mounts"] == ["/mnt/data", "/mnt/many", "/mnt/models/tiny"]


def test_a_single_role_says_what_its_own_service_waits_for(compile_inventory, chat, web):
    values = {"fleet_services": [chat()]}
    host = compile_inventory.document(values, entries=[web(mounts=["/mnt/data:/data"])])["host"]
    assert (host["wait_npus"], host["wait_mounts"]) == (False, ["/mnt/data"])


def test_npus_expected_has_a_short_name(compile_inventory):
    assert compile_inventory.document({"npus_expected": 8})["host"]["npus"]["expected"] == 8
    both = {"npus_expected": 8, "fleet_npus_expected": 4}
    assert compile_inventory.document(both)["host"]["npus"]["expected"] == 4


def test_text_of_the_command_line_becomes_typed(compile_inventory):
    values = {"fleet_npus_expected": "8", "fleet_ip_forward": "no", "fleet_metadata_except_ports": "53,80"}
    host = compile_inventory.document(values)["host"]
    assert host["npus"]["expected"] == 8
    assert host["forwarding"]["ipv4"] is False
    assert host["metadata_block"]["except_ports"] == [53, 80]


# Artefacts and reach


def test_artefacts_name_their_services(compile_inventory, chat, web, tmp_path):
    (tmp_path / "i.tar").write_text("tar", encoding="utf-8")
    archive = {"reference": "reg:5000/a:1", "archive": "i.tar", "digest": "sha256:" + "0" * 64}
    on_node = {"reference": "b", "archive": "/srv/b.tar", "archive_on": "node"}
    entries = [
        chat(instances=2),
        web(image=archive),
        web(name="w2", port=1, image=on_node, model="/mnt/models/tiny"),
        web(name="gone", state="absent", image="c"),
    ]
    artefacts = compile_inventory.document({"fleet_services": entries})["artefacts"]
    keys = ("reference", "digest", "archive", "services")
    assert {image["check"] for image in artefacts["images"]} == {"always"}
    assert [{key: image[key] for key in keys} for image in artefacts["images"]] == [
        {"reference": "reg:5000/vllm:1", "digest": None, "archive": None, "services": ["chat-0", "chat-1"]},
        {
            "reference": "reg:5000/a:1",
            "digest": "sha256:" + "0" * 64,
            "archive": {"path": str(tmp_path / "i.tar"), "on": "controller"},
            "services": ["web"],
        },
        {"reference": "b", "digest": None, "archive": {"path": "/srv/b.tar", "on": "node"}, "services": ["w2"]},
    ]
    model = {"path": "/mnt/models/tiny", "source": None, "revision": None, "include": [], "exclude": []}
    assert artefacts["models"] == [
        {**model, "token_file": None, "shared": False, "services": ["chat-0", "chat-1", "w2"]}
    ]


def test_a_model_with_a_source_lies_below_the_work_directory(compile_inventory, web, tmp_path):
    (tmp_path / "token").write_text("t", encoding="utf-8")
    (tmp_path / "token").chmod(0o600)
    model = {"source": "hf:Qwen/Qwen2.5-7B-Instruct", "revision": "abc", "include": "*.json", "token_file": "token"}
    document = compile_inventory.document({"fleet_work_dir": "/srv/work", "fleet_services": [web(model=model)]})
    (found,) = document["artefacts"]["models"]
    path = "/srv/work/models/Qwen2.5-7B-Instruct"
    assert (found["path"], found["include"], found["token_file"]) == (path, ["*.json"], str(tmp_path / "token"))
    (mount,) = document["services"][0]["container"]["mounts"]
    assert (mount["source"], mount["target"], mount["read_only"]) == (path, path, True)


def test_one_directory_has_one_source(compile_inventory, web):
    entries = [
        web(model={"path": "/m", "source": "hf:a/b"}),
        web(name="other", port=81, model={"path": "/m", "source": "hf:a/c"}),
    ]
    (error,) = compile_inventory({"n1": {"fleet_services": entries}}).errors
    assert error["key"] == "model.path"
    assert "is the directory of web too" in error["message"]


@pytest.mark.parametrize(
    ("model", "key", "message"),
    [
        ({}, "model.path", "is missing"),
        ({"path": "/m", "revision": "x"}, "model.revision", "says nothing without a source"),
        ({"source": "Qwen/Qwen2"}, "model.source", "is no source"),
        ({"source": "hf:Qwen"}, "model.source", "is no source of that kind"),
        ({"source": "controller:/no/such/folder"}, "model.source", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_model(compile_inventory, web, model, key, message):
    (error,) = compile_inventory({"n1": {"fleet_services": [web(model=model)]}}).errors
    assert error["key"] == key
    assert message in error["message"]


def test_reach_names_every_other_node(compile_inventory, web):
    entry = web(reach=[{"nodes": "fleet", "port": 29500}], instances=2)
    hosts = {
        "n1": {"fleet_services": [entry], "ansible_host": "10.0.0.1"},
        "n2": {"fleet_services": [entry], "ansible_host": "10.0.0.2"},
    }
    compiled = compile_inventory(hosts)
    assert compiled.documents["n1"]["reach"] == [
        {"from_service": "web", "host": "n2", "address": "10.0.0.2", "port": 29500}
    ]


# Kinds


def dummy_kind(name: str = "dummy", family: str = "service") -> _base.Kind:
    def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
        container = {**_base.base_container(entry), "command": ["dummy", entry["flavour"]]}
        return _base.Parts(container, _base.probe(entry, settings, {"type": "tcp", "port": entry["port"]}))

    return _base.Kind(
        name=name,
        compile=compile_entry,
        role="dummy",
        options={"flavour": {"type": "str", "choices": ["sweet", "sour"], "default": "sweet", "description": "Taste."}},
        defaults={"port": 7000, "npus": 1},
        requires=("image",),
        family=family,
    )


def test_a_third_kind_needs_no_change_of_the_frame(compile_inventory, web):
    kinds = {**table(_data.entry_schema()), "dummy": dummy_kind()}
    entries = [{"name": "third", "kind": "dummy", "image": "d:1", "flavour": "sour", "instances": 2}, web()]
    compiled = compile_inventory({"n1": {"fleet_services": entries, "fleet_npus_expected": 2}}, kinds=kinds)
    assert compiled.errors == []
    first, second, _web = compiled.documents["n1"]["services"]
    assert first["container"]["command"] == ["dummy", "sour"]
    assert first["probe"]["port"] == 7000
    assert [first["predicted_cards"], second["predicted_cards"]] == [[0], [1]]


@pytest.mark.parametrize(
    ("entry", "key", "remedy"),
    [
        ({"flavour": "salty", "image": "d"}, "flavour", "sweet, sour"),
        ({}, "image", "Kind dummy needs it"),
        ({"image": "d", "flavor": "sour"}, "flavor", "Did you mean flavour?"),
        ({"image": "d", "kind": "dumy"}, "kind", "Did you mean dummy?"),
    ],
)
def test_a_third_kind_is_checked_like_the_others(compile_inventory, entry, key, remedy):
    kinds = {**table(_data.entry_schema()), "dummy": dummy_kind()}
    compiled = compile_inventory({"n1": {"fleet_services": [{"name": "third", "kind": "dummy", **entry}]}}, kinds=kinds)
    assert [error["key"] for error in compiled.errors] == [key]
    assert remedy in compiled.errors[0]["remedy"]


def test_jobs_have_variables_and_kinds_of_their_own(compile_inventory):
    entry = {"name": "third", "kind": "job", "image": "d:1"}
    assert compile_inventory({"n1": {"fleet_jobs_x": [entry]}}).errors == []
    compiled = compile_inventory({"n1": {"fleet_services": [entry]}})
    assert [(e["key"], e["remedy"]) for e in compiled.errors] == [("kind", "Move the entry to a fleet_jobs variable.")]


# Purity


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_inventory_gives_the_same_documents(compile_inventory, chat, web, data):
    entries = data.draw(
        st.lists(
            st.builds(
                lambda name, npus, port, instances: web(name=name, npus=npus, port=port, instances=instances),
                st.sampled_from(["aa", "bb", "cc", "dd"]),
                st.integers(0, 3),
                st.integers(1, 60000),
                st.sampled_from([None, 1, 3]),
            ),
            unique_by=(lambda entry: entry["name"], lambda entry: entry["port"] // 100),
        )
    )
    values = {"fleet_services": entries, "fleet_npus_expected": 8}
    once, twice = compile_inventory({"n1": values}), compile_inventory({"n1": json.loads(json.dumps(values))})
    assert json.dumps(once.documents, sort_keys=True) == json.dumps(twice.documents, sort_keys=True)
    if not once.errors:
        given_out = [card for row in once.table for card in row["cards"] or []]
        assert len(given_out) == len(set(given_out))


def test_the_document_of_a_node_does_not_depend_on_the_others(compile_inventory, web):
    hosts = {"n1": {"fleet_services": [web()]}, "n2": {"fleet_services": [web(port=1)]}}
    whole = compile_inventory(hosts)
    assert compile_inventory(hosts, limit=["n2"]).documents["n2"] == whole.documents["n2"]


# Shared storage


def test_storage_has_the_options_of_its_type(compile_inventory):
    mounts = [
        {"path": "/mnt/sfs_turbo", "source": "192.0.2.20:/"},
        {"path": "/mnt/own", "source": "192.0.2.21:/x", "options": ["ro"]},
        {"path": "/mnt/ssh", "source": "store:/x", "type": "fuse.sshfs"},
        {"path": "/srv/models"},
    ]
    found = compile_inventory.document({"fleet_mounts": mounts})["host"]["mounts"]
    assert [mount["options"][0] for mount in found[:3]] == ["vers=3", "ro", "_netdev"]
    assert "hard" in found[0]["options"]
    assert [mount["source"] for mount in found] == ["192.0.2.20:/", "192.0.2.21:/x", "store:/x", None]


@pytest.mark.parametrize(
    ("mounts", "key"),
    [
        ([{"path": "/mnt/a"}, {"path": "/mnt/a/"}], "fleet_mounts[1].path"),
        ([{"path": "/"}], "fleet_mounts[0].path"),
        ([{"path": "/usr/share"}], "fleet_mounts[0].path"),
        ([{"source": "192.0.2.20:/"}], "fleet_mounts[0].path"),
        ([{"path": "/mnt/a", "source": "a b"}], "fleet_mounts[0].source"),
        ([{"path": "/mnt/a", "source": "x:/", "options": ["vers=3,ro"]}], "fleet_mounts[0].options[0]"),
    ],
)
def test_storage_that_cannot_be_meant_is_refused(compile_inventory, mounts, key):
    compiled = compile_inventory({"n1": {"fleet_mounts": mounts}})
    assert [error["key"] for error in compiled.errors] == [key]
