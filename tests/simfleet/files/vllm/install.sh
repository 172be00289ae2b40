# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The Python that the CPU build of vLLM runs on, and the pip that installs it.
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-pip libnuma1 libgomp1
apt-get clean
rm -rf /var/lib/apt/lists/*
