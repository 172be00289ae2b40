# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# An image in which things can be installed: what a vendor's base image of the guide holds, without its CANN and torch.
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-pip python3-venv ca-certificates curl git sudo unzip
useradd --create-home --shell /bin/bash ma-user
echo 'ma-user ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ma-user
apt-get clean
rm -rf /var/lib/apt/lists/*
