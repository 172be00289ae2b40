# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Python of an image is, as JSON: its tag of extension modules, and what of torch it has."""

import json
import sysconfig
from importlib import metadata

KEPT = ("torch", "torch_npu", "torchvision", "torchaudio")


def installed():
    """The packages that pip must leave as they are, by their names."""
    found = {dist.metadata["Name"].lower().replace("-", "_"): dist.version for dist in metadata.distributions()}
    return {name: found[name] for name in KEPT if name in found}


print(json.dumps({"suffix": sysconfig.get_config_var("EXT_SUFFIX"), "installed": installed()}))
