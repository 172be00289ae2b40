# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind comfyui: the process that would run, what is baked, where models are found, and the proof."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui, _data

DOUBLE = Path(__file__).resolve().parents[3] / "doubles" / "comfyui"
LATER = "v0.3.64"


@pytest.fixture
def draw():
    """An entry that needs neither card nor vendor package."""

    def make(**keys: Any) -> dict[str, Any]:
        return {"name": "draw", "kind": "comfyui", "image": "registry:5000/python:1", "npus": 0, **keys}

    return make


@pytest.fixture
def on_card(draw):
    def make(**keys: Any) -> dict[str, Any]:
        return draw(**{"npus": 1, "ascendcloud": "/srv/ascendcloud", **keys})

    return make


def flags(service: dict[str, Any]) -> list[str]:
    command: list[str] = service["container"]["command"]
    return command[command.index("/home/ma-user/ComfyUI/main.py") + 1 :]


def value(service: dict[str, Any], flag: str) -> str:
    words = flags(service)
    return words[words.index(flag) + 1]


def targets(service: dict[str, Any]) -> dict[str, bool]:
    return {mount["target"]: mount["read_only"] for mount in service["container"]["mounts"]}


def error(compiled: Any) -> dict[str, Any]:
    (found,) = compiled.errors
    return dict(found)


def test_on_the_cpu(compile_inventory, draw):
    service = compile_inventory.service(draw())
    base = "/var/lib/ascend-fleet/work/draw"
    assert flags(service) == [
        *("--listen", "0.0.0.0", "--port", "8183"),
        *("--output-directory", f"{base}/output", "--input-directory", f"{base}/input"),
        *("--user-directory", f"{base}/user", "--temp-directory", "/tmp/comfyui", "--cpu"),
    ]
    assert targets(service) == {f"{base}/output": False, f"{base}/input": False, f"{base}/user": False}
    assert all(mount["create"] == {"owner": None, "mode": "0755"} for mount in service["container"]["mounts"])
    (port,) = service["container"]["ports"]
    assert (port["host_ip"], port["host_port"], port["container_port"]) == ("127.0.0.1", 8183, 8183)
    assert service["container"]["entrypoint"][0] == "/bin/sh"


@pytest.mark.parametrize("version", ["v0.3.7", LATER])
def test_every_flag_is_one_of_its_version(compile_inventory, draw, version):
    service = compile_inventory.service(draw(version=version, models_dir="/mnt/models"))
    number = _comfyui.version(version)
    written = [word for word in flags(service) if word.startswith("--")]
    assert [word for word in written if not _comfyui.knows(word, number)] == []
    assert ("--database-url" in written) is (version == LATER)


def test_the_table_of_flags_and_the_double_agree_on_0_3_7():
    """The double has them from the recorded command line, the table from the history of the source."""
    code = (
        "import json; from double.flags import parser;"
        " print(json.dumps([name for action in parser()._actions for name in action.option_strings]))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=DOUBLE, capture_output=True, text=True, check=True).stdout
    number = _comfyui.version("v0.3.7")
    assert {name for name in json.loads(told) if name not in ("-h", "--help")} == {
        name for name in _comfyui.flags() if _comfyui.knows(name, number)
    }


def test_on_a_card(compile_inventory, on_card):
    service = compile_inventory.service(on_card())
    assert "--cpu" not in flags(service)
    assert service["npus"] == {"count": 1, "cards": None, "profile": "modelarts"}
    shell, _c, script, _name = service["container"]["entrypoint"]
    assert shell == "/bin/bash"
    assert ". /home/ma-user/vendors/customize/bin/set_env.bash" in script
    assert "/usr/local/Ascend/ascend-toolkit/set_env.sh" in script


def test_instances_have_ports_cards_and_folders_of_their_own(compile_inventory, on_card):
    services = compile_inventory.document({"fleet_services": [on_card(instances=3, output_dir="/mnt/pictures")]})[
        "services"
    ]
    assert [service["name"] for service in services] == ["draw-0", "draw-1", "draw-2"]
    assert [service["container"]["ports"][0]["host_port"] for service in services] == [8183, 8184, 8185]
    assert [service["npus"]["count"] for service in services] == [1, 1, 1]
    outputs = [value(service, "--output-directory") for service in services]
    assert outputs == ["/mnt/pictures/draw-0", "/mnt/pictures/draw-1", "/mnt/pictures/draw-2"]
    assert len({value(service, "--user-directory") for service in services}) == 3
    assert {value(service, "--input-directory") for service in services} == {"/var/lib/ascend-fleet/work/draw/input"}
    assert {service["container"]["image"] for service in services} == {services[0]["container"]["image"]}


# The bake


def test_what_is_baked(compile_inventory, on_card):
    (bake,) = compile_inventory.document({"fleet_services": [on_card()]})["bakes"]
    assert (bake["kind"], bake["role"], bake["base"], bake["npus"]) == (
        "comfyui",
        "comfyui",
        "registry:5000/python:1",
        True,
    )
    assert bake["mounts"] == [{"source": "/srv/ascendcloud", "target": "/opt/ascend-fleet/ascendcloud"}]
    assert bake["manifests"] == ["/srv/ascendcloud/.ascend-package.json"]
    inputs = bake["inputs"]
    assert inputs["source"] == {"git": "https://github.com/comfyanonymous/ComfyUI.git", "archive": None}
    assert inputs["version"] == "v0.3.7"
    assert inputs["constraints"][0]["torch"] == "2.1"
    assert inputs["constraints"][0]["pins"]["numpy"] == "==1.26.4"
    package = inputs["ascendcloud"]
    assert (package["node"], package["release"], package["operators"]) == (True, "0.3.7", True)


def test_a_package_that_lies_somewhere_is_unpacked_as_far_as_it_is_needed(compile_inventory, on_card):
    package = {"path": "/srv/ascendcloud", "src": "/mnt/packages/AscendCloud-*.zip", "version": "6.5.902"}
    (row,) = compile_inventory.document({"fleet_services": [on_card(ascendcloud=package)]})["artefacts"]["packages"]
    assert (row["path"], row["src"], row["version"]) == (package["path"], package["src"], package["version"])
    assert [(part["name"], part["include"]) for part in row["parts"]] == [
        (
            "AIGC",
            [
                "aigc_inference/torch_npu/comfyui/0.3.7/comfyui_ascend_node",
                "aigc_inference/torch_npu/utils/AscendX-MM",
                "aigc_inference/torch_npu/utils/ascend_diffusers",
            ],
        ),
        ("OPP", []),
    ]


def test_a_newer_version_uses_the_npu_by_itself(compile_inventory, on_card):
    document = compile_inventory.document({"fleet_services": [on_card(version=LATER)]})
    assert document["bakes"][0]["inputs"]["ascendcloud"]["node"] is False
    alone = compile_inventory.document({"fleet_services": [on_card(version=LATER, ascendcloud=None)]})
    assert alone["bakes"][0]["inputs"]["ascendcloud"] is None


def test_an_archive_goes_by_what_is_in_it(compile_inventory, draw):
    archive = compile_inventory.folder / "ComfyUI-0.3.7.zip"
    archive.write_bytes(b"one")
    first = compile_inventory.document({"fleet_services": [draw(source={"archive": archive.name})]})["bakes"][0]
    assert first["inputs"]["source"]["archive"]["path"] == str(archive)
    moved = archive.rename(archive.with_name("other.zip"))
    moved.write_bytes(b"two")
    second = compile_inventory.document({"fleet_services": [draw(source={"archive": moved.name})]})["bakes"][0]
    assert first["inputs"]["source"]["archive"]["sha256"] != second["inputs"]["source"]["archive"]["sha256"]
    assert first["id"] != second["id"]


def test_services_that_differ_in_what_is_not_baked_share_an_image(compile_inventory, draw):
    other = draw(name="other", port=9000, models_dir="/mnt/models", smoke="none", output_dir="/mnt/pictures")
    bakes = compile_inventory.document({"fleet_services": [draw(), other]})["bakes"]
    assert [bake["services"] for bake in bakes] == [["draw", "other"]]


def test_an_image_that_has_it_already(compile_inventory, draw):
    document = compile_inventory.document({"fleet_services": [draw(install=False, install_dir="/app")]})
    assert document["bakes"] == []
    container = document["services"][0]["container"]
    assert container["image"] == "registry:5000/python:1"
    assert "/app/main.py" in container["command"]


def test_workflows_are_brought_and_never_written_over(compile_inventory, draw):
    flow = compile_inventory.folder / "my flow.json"
    flow.write_text("{}")
    given = [{"file": flow.name}, {"url": "https://host.example/a/b.json?x=1"}]
    document = compile_inventory.document({"fleet_services": [draw(workflows=given)]})
    assert [item["name"] for item in document["bakes"][0]["inputs"]["workflows"]] == ["my flow", "b"]
    script = document["services"][0]["container"]["entrypoint"][2]
    assert 'cp "$file" /var/lib/ascend-fleet/work/draw/user/default/workflows/' in script


# Models


def test_models_are_found_where_they_are_and_never_copied(compile_inventory, draw, tmp_path):
    document = compile_inventory.document(
        {"fleet_services": [draw(models_dir="/mnt/models", model_sets=["sd15", "sdxl"])]}
    )
    service = document["services"][0]
    assert targets(service)["/mnt/models"] is True
    paths = yaml.safe_load(service["container"]["env"]["ASCEND_FLEET_MODEL_PATHS"])
    assert paths["fleet"]["base_path"] == "/mnt/models"
    assert paths["fleet"]["clip"] == "clip"
    assert paths["stabilityai/stable-diffusion-xl-base-1.0"] == {
        "base_path": "/mnt/models/stable-diffusion-xl-base-1.0",
        "checkpoints": ".",
    }
    assert value(service, "--extra-model-paths-config") == "/tmp/comfyui/extra_model_paths.yaml"
    assert [(model["path"], model["source"]) for model in document["artefacts"]["models"]] == [
        ("/mnt/models/stable-diffusion-v1-5", "huggingface:stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("/mnt/models/stable-diffusion-xl-base-1.0", "huggingface:stabilityai/stable-diffusion-xl-base-1.0"),
    ]


def test_files_that_lie_in_comfyuis_own_folders_are_checked(compile_inventory, draw):
    service = compile_inventory.service(draw(models_dir="/mnt/models", model_sets=["flux"], fetch_models=False))
    assert [check["path"] for check in service["checks"]] == [
        "/mnt/models/unet/flux1-dev.safetensors",
        "/mnt/models/vae/ae.safetensors",
        "/mnt/models/clip/clip_l.safetensors",
        "/mnt/models/clip/t5xxl_fp16.safetensors",
    ]


def test_a_file_that_sets_share_comes_once_and_from_where_no_licence_is_asked():
    files = _comfyui.weights(["sd3", "sd35", "flux"])
    encoders = {file.name: (file.repository, file.gate) for file in files if file.folder == "clip"}
    assert len(encoders) == len([file for file in files if file.folder == "clip"]) == 3
    assert set(encoders.values()) == {("Comfy-Org/stable-diffusion-3.5-fp8", None)}
    assert all("/resolve/" in file.url and "/blob/" not in file.url for file in files)


def test_services_with_different_sets_share_the_folder_of_models(compile_inventory, draw):
    token = compile_inventory.folder / "token"
    token.write_text("x")
    token.chmod(0o600)
    common = {"models_dir": "/mnt/models", "token_file": token.name, "models_shared": True}
    entries = [draw(model_sets=["sd35"], **common), draw(name="other", port=9000, model_sets=["flux"], **common)]
    models = {
        model["path"]: model for model in compile_inventory.document({"fleet_services": entries})["artefacts"]["models"]
    }
    encoders = models["/mnt/models/stable-diffusion-3.5-fp8"]
    assert encoders["services"] == ["draw", "other"]
    assert encoders["token_file"] is None
    assert models["/mnt/models/FLUX.1-dev"]["token_file"] == str(token)
    assert models["/mnt/models/FLUX.1-dev"]["include"] == ["flux1-dev.safetensors", "ae.safetensors"]
    assert all(model["shared"] for model in models.values())


@pytest.mark.parametrize("name", _comfyui.sets())
def test_a_graph_uses_the_files_of_its_set(name):
    used = {
        value
        for node in _comfyui.graph(name).values()
        for value in node["inputs"].values()
        if str(value).endswith(".safetensors")
    }
    assert used == {file.name for file in _comfyui.weights([name])}


# The proof


def test_the_proof_looks_at_device_log_and_a_picture(compile_inventory, draw):
    service = compile_inventory.service(draw(models_dir="/mnt/models", model_sets=["sd15"], fetch_models=False))
    steps = service["probe"]["steps"]
    assert steps[0]["path"] == "/system_stats"
    assert steps[0]["expect"] == [{"path": "devices.0.type", "equals": "cpu"}]
    assert "(IMPORT FAILED)" in steps[1]["forbid"]
    graphs = [step["body"]["prompt"] for step in steps if step.get("path") == "/prompt"]
    assert [sorted(node["class_type"] for node in graph.values())[0] for graph in graphs] == [
        "CLIPTextEncode" if "sample" in graph else "EmptyImage" for graph in graphs
    ]
    assert len(graphs) == 2
    assert graphs[0]["image"]["inputs"]["color"] == "${random}"
    assert graphs[1]["sample"]["inputs"]["seed"] == "${random}"
    removed = [step["command"] for step in steps if "command" in step]
    assert removed[0] == ["rm", "--", "/var/lib/ascend-fleet/work/draw/output/${basic_picture}"]


@pytest.mark.parametrize(("smoke", "graphs"), [("auto", 2), ("basic", 1), ("none", 0)])
def test_how_much_is_proven(compile_inventory, draw, smoke, graphs):
    entry = draw(models_dir="/mnt/models", model_sets=["sdxl"], fetch_models=False, smoke=smoke)
    steps = compile_inventory.service(entry)["probe"]["steps"]
    assert sum(step.get("path") == "/prompt" for step in steps) == graphs


def test_the_device_is_the_cards_unless_told_otherwise(compile_inventory, on_card):
    first = compile_inventory.service(on_card())["probe"]["steps"][0]
    assert first["expect"] == [{"path": "devices.0.type", "equals": "npu"}]
    assert {"path": "devices.0.type", "equals": "cpu"} in first["reject"]
    told = compile_inventory.service(on_card(device_type="privateuseone"))["probe"]["steps"][0]
    assert told["expect"] == [{"path": "devices.0.type", "equals": "privateuseone"}]


# What is wrong


PATCHED = {"ascendcloud": "/srv/x", "matmul_workaround": True}
WRONG = [
    ({"extra_args": "--base-directory /x"}, "extra_args", "Use the key install_dir"),
    ({"extra_args": "--cache-none"}, "extra_args", "It came with v0.3.28"),
    ({"extra_args": "--no-such"}, "extra_args", "Remove it"),
    ({"extra_args": "--port=1"}, "extra_args", "Use the key port"),
    ({"version": "v0.2.1"}, "version", "is older than 0.3.7"),
    ({"npus": 2, "ascendcloud": "/srv/x"}, "npus", "one card"),
    ({"npus": 1}, "ascendcloud", "only by the vendor's node"),
    ({"npus": 1, "version": "master"}, "version", "npu_support"),
    ({"matmul_workaround": True}, "matmul_workaround", "there is none"),
    ({"version": "v0.3.40", **PATCHED}, "matmul_workaround", "v0.3.40 uses an NPU by itself"),
    ({"version": "v0.3.40", "npus": 1, **PATCHED}, "matmul_workaround", "v0.3.40 uses an NPU by itself"),
    ({"version": "v0.3.7", "npu_support": "native", **PATCHED}, "matmul_workaround", "uses an NPU by itself"),
    ({"version": "master", **PATCHED}, "matmul_workaround", "write npu_support: node"),
    ({"model_sets": ["sd15"]}, "models_dir", "is missing"),
    ({"model_sets": ["sd3"], "models_dir": "/m"}, "token_file", "Stability AI Community License"),
    ({"model": "/mnt/x"}, "model", "Use models_dir"),
    ({"output_dir": "/home/ma-user/out"}, "output_dir", "hides the image's own files"),
    ({"source": {"git": "https://me:secret@host.example/x.git"}}, "source.git", "without one"),
    ({"source": {"url": "https://host.example/x.zip"}}, "source.sha256", "is missing"),
    ({"workflows": [{"name": "x"}]}, "workflows[0]", "needs either file or url"),
    ({"install": False, "workflows": [{"url": "https://host.example/x"}]}, "workflows", "install is false"),
]


@pytest.mark.parametrize(
    ("keys", "key", "words"), WRONG, ids=[f"{number}-{row[1]}" for number, row in enumerate(WRONG)]
)
def test_what_is_wrong_is_said_before_anything_is_done(compile_inventory, draw, keys, key, words):
    compiled = compile_inventory({"n1": {"fleet_services": [draw(**keys)]}})
    told = [item for item in compiled.errors if item["key"] == key]
    assert told, compiled.errors
    assert words in told[0]["message"] + told[0]["remedy"]
    assert "secret" not in json.dumps(compiled.errors)


@pytest.mark.parametrize("keys", [{"version": "v0.3.7"}, {"version": "master", "npu_support": "node"}])
def test_the_vendors_node_can_be_changed_where_it_is_installed(compile_inventory, draw, keys):
    compiled = compile_inventory({"n1": {"fleet_services": [draw(**keys, **PATCHED)]}})
    assert [item for item in compiled.errors if item["key"] == "matmul_workaround"] == []


def test_a_server_without_login_on_an_open_address_is_a_warning(compile_inventory, draw):
    compiled = compile_inventory({"n1": {"fleet_services": [draw(bind="0.0.0.0")]}})
    (found,) = [item for item in compiled.findings if item["check"] == "service-open"]
    assert (found["severity"], found["service"]) == ("warning", "draw")
    assert "no login" in found["message"]
    assert compile_inventory({"n1": {"fleet_services": [draw()]}}).findings == []


def test_the_schema_knows_the_sets_of_the_catalogue():
    sets = _data.entry_schema()["kinds"]["comfyui"]["options"]["model_sets"]["elements"]["choices"]
    assert sets == _comfyui.sets()
