# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pip as it would decide in another Python: a program of its own. Private to the collection.

pip takes platform and version of another Python as options, but reads the conditions of requirements with its own, and
sees what its own has installed. Both are set here. The first argument is JSON: ``environment``, the values of
conditions, and ``site``, a folder with the metadata of what is installed; the others are pip's.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def main() -> Any:
    told = json.loads(sys.argv[1])
    markers: Any = import_module("pip._vendor.packaging.markers")
    installed: Any = import_module("pip._internal.metadata.importlib._envs").Environment
    options: Any = import_module("pip._internal.cli.cmdoptions")
    markers.default_environment = lambda: dict(told["environment"])
    installed.default = classmethod(lambda cls: cls([told["site"]]))
    # Not every pip knows that a trial run installs nothing, whatever the platform.
    options.check_dist_restriction = lambda *_options, **_more: None
    return import_module("pip._internal.cli.main").main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
