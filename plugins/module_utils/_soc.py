# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container needs of the host to use cards, per chip family and kind of image. Private to the collection.

The tables are the whole knowledge; the functions only look things up.
"""

from __future__ import annotations

import re
from typing import Any, Callable, NamedTuple, Sequence

Exists = Callable[[str], bool]

PLAIN = "plain"
VLLM_ASCEND = "vllm-ascend"
MODELARTS = "modelarts"
IMAGE_PROFILES = (PLAIN, VLLM_ASCEND, MODELARTS)

DEV = "/dev"
ASCEND_ROOT = "/usr/local/Ascend"
VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"


class Device(NamedTuple):
    """A device node beside those of the cards; the first of ``names`` that exists is taken."""

    names: tuple[str, ...]
    required: bool = True


class Mount(NamedTuple):
    """A file or folder of the host; the first of ``sources`` that exists is taken."""

    sources: tuple[str, ...]
    required: bool = False
    read_only: bool = True
    target: str | None = None
    """Path in the container; the source's own by default."""


class Family(NamedTuple):
    title: str
    names: str
    """Expression for the chip's name in npu-smi and in soc, without the word Ascend."""
    devices: tuple[Device, ...]
    pairs: bool = False
    """Whether cards 2k and 2k+1 go together."""
    mounts: tuple[Mount, ...] = ()
    whole_driver: bool = False
    """Whether parts of the driver folder are not enough."""


class Profile(NamedTuple):
    family: str
    name: str
    """How messages call chip and image."""
    known: bool
    """False when the chip is not in the table and the most common family stands in."""
    pairs: bool
    devices: tuple[Device, ...]
    mounts: tuple[Mount, ...]


_MANAGER = Device(("davinci_manager",))
_SHARED = (_MANAGER, Device(("devmm_svm",)), Device(("hisi_hdc",)))
_SMALL = tuple(
    Device((name,), required=False)
    for name in (
        "svm0", "ts_aisle", "upgrade", "sys", "vdec", "vpc", "pngd", "venc", "log_drv", "acodec", "ai", "ao", "vo",
        "hdmi",
    )
)  # fmt: skip

# {root} is the folder of driver and firmware.
_DRIVER = Mount(("{root}/driver",), required=True)
_DRIVER_PARTS = (
    Mount(("{root}/driver/lib64",), required=True),
    Mount(("{root}/driver/version.info",), required=True),
)
_NPU_SMI = ("/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi")
_DCMI = Mount(("/usr/local/dcmi",))
_INSTALL_INFO = Mount(("/etc/ascend_install.info",))
_HCCN_CONF = Mount(("/etc/hccn.conf",))
_LOCALTIME = Mount(("/etc/localtime",))

FAMILIES: dict[str, Family] = {
    "910A": Family("Ascend 910 (first generation)", r"910(A|B|ProA|ProB|PremiumA)", _SHARED),
    "910B": Family("Ascend 910B (A2)", r"910B\d.*|Snt9b", _SHARED),
    "910_93": Family("Ascend 910 (A3)", r"910_93.*|910C.*|A3|Snt9b23", _SHARED, pairs=True),
    "310P": Family("Ascend 310P", r"310P.*", _SHARED),
    "310B": Family(
        "Ascend 310B",
        r"310B.*",
        (Device(("davinci_manager_docker", "davinci_manager")), *_SMALL),
    ),
    "310": Family("Ascend 310", r"310", _SHARED),
    "950": Family(
        "Ascend 950 (A5)",
        r"950.*",
        (_MANAGER, Device(("hisi_hdc",)), Device(("uburma",), required=False), Device(("ummu",), required=False)),
        mounts=(Mount(("/etc/hixlep",)), Mount(("/etc/hccl_rootinfo.json",))),
        whole_driver=True,
    ),
}
STAND_IN = "910B"

_PARTIAL_MOUNTS: dict[str, tuple[Mount, ...]] = {
    PLAIN: (_DCMI, Mount(_NPU_SMI), _INSTALL_INFO),
    VLLM_ASCEND: (
        _DCMI,
        Mount(_NPU_SMI),
        _INSTALL_INFO,
        _HCCN_CONF,
        Mount(("{root}/driver/tools/hccn_tool",)),
        _LOCALTIME,
    ),
    # The guide's docker lines; their log folder is /usr/slog inside.
    MODELARTS: (
        _DCMI,
        Mount(_NPU_SMI, required=True),
        Mount(("/var/log/npu",), read_only=False, target="/usr/slog"),
        _INSTALL_INFO,
        _HCCN_CONF,
        _LOCALTIME,
    ),
}


def family(soc: str | None) -> str | None:
    """The family of a chip's name as npu-smi or the facts give it; None when it is in no table."""
    name = str(soc or "").strip()
    if name.lower() in ("ascend910", "910_93"):
        # A3 boards print the bare family name where older ones print a model.
        return "910_93"
    name = re.sub(r"^Ascend[ _-]?", "", name, flags=re.IGNORECASE)
    for key, row in FAMILIES.items():
        if re.match(f"^(?:{row.names})$", name, re.IGNORECASE):
            return key
    return None


def profile(soc: str | None, image_profile: str = PLAIN) -> Profile:
    key = family(soc)
    row = FAMILIES[key or STAND_IN]
    whole = row.whole_driver or image_profile == MODELARTS
    driver = (_DRIVER,) if whole else _DRIVER_PARTS
    rest = tuple(
        mount
        for mount in _PARTIAL_MOUNTS[image_profile]
        if not (whole and mount.sources[0].startswith("{root}/driver/"))
    )
    return Profile(
        family=key or STAND_IN,
        name=f"{row.title} with an image of profile {image_profile}",
        known=key is not None,
        pairs=row.pairs,
        devices=row.devices,
        mounts=driver + rest + row.mounts,
    )


def resolve(
    profile: Profile,
    davinci_ids: Sequence[int],
    exists: Exists,
    dev: str = DEV,
    ascend_root: str = ASCEND_ROOT,
) -> dict[str, Any]:
    """Devices, mounts and environment for these cards; ``missing`` names what is required and not there.

    Without cards nothing is needed.
    """
    found: dict[str, Any] = {"devices": [], "mounts": [], "env": {}, "missing": []}
    if not davinci_ids:
        return found
    cards = [Device((f"davinci{card}",)) for card in davinci_ids]
    for device in [*cards, *profile.devices]:
        name = _first(device.names, lambda name: exists(f"{dev}/{name}"))
        if name is not None:
            found["devices"].append(f"{dev}/{name}:{DEV}/{name}:rwm")
        elif device.required:
            found["missing"].append(f"{dev}/{device.names[0]}")
    for mount in profile.mounts:
        sources = [source.format(root=ascend_root) for source in mount.sources]
        source = _first(sources, exists)
        if source is not None:
            found["mounts"].append(_mount(mount, source, ascend_root))
        elif mount.required:
            found["missing"].append(" or ".join(sources))
    found["env"][VISIBLE] = ",".join(str(index) for index in range(len(davinci_ids)))
    return found


def _first(names: Sequence[str], exists: Exists) -> str | None:
    return next((name for name in names if exists(name)), None)


def _mount(mount: Mount, source: str, ascend_root: str) -> dict[str, Any]:
    # A driver that is installed elsewhere still stands at its usual place inside.
    usual = ASCEND_ROOT + source[len(ascend_root) :] if source.startswith(ascend_root + "/") else source
    return {
        "type": "bind",
        "source": source,
        "target": mount.target or usual,
        "read_only": mount.read_only,
        "create": None,
    }
