# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What stands beside the servers: an image registry and the metadata service. busybox is what the
# light image is made of.
apt-get update -qq
apt-get install -y -qq --no-install-recommends docker-registry python3 iproute2 busybox-static
apt-get clean
rm -rf /var/lib/apt/lists/*
