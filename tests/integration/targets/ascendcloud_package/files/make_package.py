# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package with two parts, one inside the other as the vendor's."""

from __future__ import annotations

import io
import os
import sys
import zipfile

PARTS = {
    "AIGC": {"multimodal_algorithm/Wan2_1/train.py": "print('train')\n", "multimodal_algorithm/Other/a.py": "pass\n"},
    "OPP": {"kernel.txt": "kernel\n"},
}


def main() -> None:
    name = os.path.basename(sys.argv[1])
    with zipfile.ZipFile(sys.argv[1], "w") as outer:
        for part, files in PARTS.items():
            held = io.BytesIO()
            with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as inner:
                for path, text in files.items():
                    inner.writestr(path, text)
            outer.writestr(name.replace("AscendCloud-", f"AscendCloud-{part}-"), held.getvalue())


if __name__ == "__main__":
    main()
