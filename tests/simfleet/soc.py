# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that can be simulated: what each chip family shows to its host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Soc:
    """npu_smi: its key in the simulated npu-smi. chips: of a whole server, per_card: of one card."""

    npu_smi: str
    chips: int
    per_card: int
    pci_device: str
    shared_devices: tuple[str, ...]
    driver_version: str
    extra_files: tuple[str, ...] = ()


_WITH_SVM = ("davinci_manager", "devmm_svm", "hisi_hdc")
_A5_FILES = ("/etc/hixlep/hixlep.json", "/etc/hccl_rootinfo.json")

SOCS = {
    "910B3": Soc("910B3", 8, 1, "0xd802", _WITH_SVM, "25.2.0"),
    "910B4": Soc("910B4", 8, 1, "0xd802", _WITH_SVM, "25.2.0"),
    "910A": Soc("910A", 8, 1, "0xd801", _WITH_SVM, "21.0.3.2"),
    "A3": Soc("A3", 16, 2, "0xd803", _WITH_SVM, "25.2.0"),
    "310P": Soc("310P3", 8, 1, "0xd500", _WITH_SVM, "25.2.0"),
    "310P-duo": Soc("310P3-duo", 8, 2, "0xd500", _WITH_SVM, "25.2.0"),
    "950": Soc("950PR", 8, 1, "0xd806", ("davinci_manager", "hisi_hdc"), "25.7.rc1", _A5_FILES),
}
