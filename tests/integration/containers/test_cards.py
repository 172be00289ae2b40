# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cards: what their chips need, who holds them, and who may be asked to let go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import npu_smi
import pytest

from tests.integration.containers.conftest import call_module

Options = dict[str, Any]


@pytest.fixture
def card_options(tmp_path: Path, cards: Path) -> Options:
    """A host with eight simulated chips: device nodes, driver folder and the simulated tool."""
    state = tmp_path / "state.json"
    state.write_text(json.dumps(npu_smi.default_state("910B3", cards=8)))
    tool = tmp_path / "npu-smi"
    tool.write_text(f'#!/bin/sh\nASCEND_SIM_STATE={state} exec sh {Path(npu_smi.__file__)} "$@"\n')
    tool.chmod(0o755)
    root = tmp_path / "Ascend"
    (root / "driver" / "lib64").mkdir(parents=True)
    (root / "driver" / "version.info").write_text("Version=25.2.0\n")
    return {"dev": str(cards), "npu_smi": str(tool), "ascend_root": str(root), "sysfs": str(tmp_path / "sys")}


@pytest.fixture
def change_state(tmp_path: Path) -> Callable[[Callable[[Any], None]], None]:
    def change(edit: Callable[[Any], None]) -> None:
        path = tmp_path / "state.json"
        state = json.loads(path.read_text())
        edit(state)
        path.write_text(json.dumps(state))

    return change


def cards_in(subject: Any) -> list[str]:
    nodes = [device["PathInContainer"] for device in subject.seen["HostConfig"]["Devices"]]
    return sorted(node for node in nodes if node[len("/dev/davinci") :].isdigit())


def test_a_number_of_cards_brings_devices_mounts_and_variable(subject: Any, card_options: Options, cards: Path) -> None:
    outcome = subject.ok(npus=2, **card_options)
    assert subject.docker.devices(subject.name) == {
        f"{cards}/{name}" for name in ("davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc")
    }
    assert subject.docker.env(subject.name)["ASCEND_RT_VISIBLE_DEVICES"] == "0,1"
    assert "/usr/local/Ascend/driver/lib64" in {mount["Destination"] for mount in subject.seen["Mounts"]}
    assert subject.seen["Config"]["Labels"]["io.ascend.fleet.npus"] == "0,1"
    assert outcome["container"]["cards"] == [0, 1]
    assert subject.ok(npus=2, **card_options).done == []


def test_a_card_taken_off_the_list_leaves_the_container(subject: Any, card_options: Options) -> None:
    subject.ok(npus=[2, 5, 6], **card_options)
    assert cards_in(subject) == ["/dev/davinci2", "/dev/davinci5", "/dev/davinci6"]
    assert subject.ok(npus=[6, 2, 5], **card_options).done == []
    assert subject.ok(npus=[2, 6], **card_options).done == ["replace"]
    assert cards_in(subject) == ["/dev/davinci2", "/dev/davinci6"]
    assert subject.docker.env(subject.name)["ASCEND_RT_VISIBLE_DEVICES"] == "0,1"
    assert subject.ok(npus=0, **card_options).done == ["replace"]
    assert cards_in(subject) == []


def test_cards_stay_with_a_container_when_others_come_free(subject: Any, foreign: Any, card_options: Options) -> None:
    devices = [f"--device={card_options['dev']}/davinci{card}:/dev/davinci{card}" for card in (0, 1)]
    other = foreign(*devices)
    subject.ok(npus=2, **card_options)
    assert cards_in(subject) == ["/dev/davinci2", "/dev/davinci3"]
    subject.docker("rm", "--force", other)
    assert subject.ok(npus=2, **card_options).done == []


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("npus", [1, [3]], ids=["number", "list"])
def test_an_idle_foreign_container_that_holds_the_cards_is_named(
    subject: Any, foreign: Any, card_options: Options, npus: Any, check: bool
) -> None:
    other = foreign(*[f"--device={card_options['dev']}/davinci{card}:/dev/davinci{card}" for card in range(8)])
    outcome = subject.refused(check=check, npus=npus, **card_options)
    assert outcome.checks == ["card-held"]
    assert other in outcome["msg"]
    assert subject.docker.inspect(other)["State"]["Running"]
    assert subject.all_names == []


def test_a_foreign_container_lets_go_of_its_cards_by_consent(subject: Any, foreign: Any, card_options: Options) -> None:
    holders = ["--restart=always", "--stop-timeout=1"]
    other = foreign(
        *holders, *[f"--device={card_options['dev']}/davinci{card}:/dev/davinci{card}" for card in range(8)]
    )
    wanted = {"npus": [3], "release": [other], **card_options}
    predicted = subject.ok(check=True, **wanted)
    assert subject.docker.inspect(other)["State"]["Running"]
    outcome = subject.ok(**wanted)
    assert predicted.done == outcome.done == ["release", "create"]
    seen = subject.docker.inspect(other)
    assert not seen["State"]["Running"]
    assert seen["HostConfig"]["RestartPolicy"]["Name"] == "no", "it would come back with the engine"
    assert cards_in(subject) == ["/dev/davinci3"]
    assert subject.ok(**wanted).done == []


def test_a_foreign_container_that_is_stopped_holds_nothing(subject: Any, foreign: Any, card_options: Options) -> None:
    other = foreign(f"--device={card_options['dev']}/davinci0:/dev/davinci0")
    subject.docker("kill", other)
    subject.ok(npus=[0], **card_options)
    assert cards_in(subject) == ["/dev/davinci0"]


def test_a_stopped_container_of_the_fleet_keeps_its_cards(subject: Any, card_options: Options) -> None:
    subject.ok(npus=[0], state="stopped", **card_options)
    second = f"{subject.name}-b"
    outcome = subject.refused(name=second, npus=[0], **card_options)
    assert outcome.checks == ["card-held"]
    assert subject.name in outcome["msg"]
    subject.ok(name=second, npus=1, **card_options)
    assert subject.docker.devices(second) >= {f"{card_options['dev']}/davinci1"}
    subject.ok(state="absent")
    assert subject.ok(name=second, npus=[0], **card_options).done == ["replace"]


def test_a_sick_card_is_not_given(subject: Any, card_options: Options, change_state: Any) -> None:
    change_state(lambda state: state["chips"][0].update(health="Alarm"))
    assert "card 0" in subject.refused(npus=[0], **card_options)["msg"]
    subject.ok(npus=1, **card_options)
    assert cards_in(subject) == ["/dev/davinci1"]


def test_a_missing_card_and_a_broken_tool_are_told(subject: Any, card_options: Options, tmp_path: Path) -> None:
    assert "card 9" in subject.refused(npus=[9], **card_options)["msg"]
    (tmp_path / "npu-smi").write_text("#!/bin/sh\necho 'dcmi module initialize failed. ret is -8005'\nexit 1\n")
    outcome = subject.refused(npus=1, **card_options)
    assert outcome["findings"][0]["check"].startswith("npu-")


def test_without_cards_no_tool_is_asked(subject: Any, card_options: Options, tmp_path: Path) -> None:
    (tmp_path / "npu-smi").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
    subject.ok(npus=0, **card_options)
    assert not (tmp_path / "asked").exists()


def test_the_info_module_tells_holders_and_options(subject: Any, foreign: Any, card_options: Options) -> None:
    other = foreign(f"--device={card_options['dev']}/davinci7:/dev/davinci7")
    subject.ok(npus=[0, 1], env={"API_KEY": "hush-hush", "PLAIN": "shown"}, **card_options)
    before = (subject.id, subject.seen["State"])
    found = call_module("ascend_container_info", {})
    assert not found["changed"]
    assert {found["cards"][card] for card in ("0", "1")} == {subject.name}
    assert found["cards"]["7"] == other
    by_name = {container["name"]: container for container in found["containers"]}
    assert (by_name[subject.name]["fleet"], by_name[subject.name]["service"]) == (True, subject.name)
    assert (by_name[other]["fleet"], by_name[other]["cards"]) == (False, [7])
    assert by_name[subject.name]["options"]["env"]["PLAIN"] == "shown"
    assert "hush-hush" not in json.dumps(found)
    assert (subject.id, subject.seen["State"]) == before
    one = call_module("ascend_container_info", {"name": subject.name})["containers"]
    assert [container["name"] for container in one] == [subject.name]
    assert call_module("ascend_container_info", {"name": "nobody"})["containers"] == []
