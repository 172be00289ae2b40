# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turns a Debian server into one that dnf manages: real rpm packages of the engine in a local
# repository, no engine installed. Which system it claims to be is chosen at boot (SIM_OS).
apt-get update -qq
apt-get install -y -qq --no-install-recommends rpm dnf createrepo-c python3-dnf

sources=/opt/ascend-sim/rpm
build=/tmp/rpmbuild
mkdir -p "$build" /srv/repo
for spec in "$sources"/specs/*.spec; do
  rpmbuild -bb --quiet --define "_topdir $build" --define "_build_id_links none" \
    --define "__os_install_post %{nil}" --define "_binary_payload w1.gzdio" "$spec"
done
find "$build/RPMS" -name '*.rpm' -exec mv {} /srv/repo/ \;
createrepo_c --quiet /srv/repo
rm -rf "$build"

# Debian's engine is now in the packages; its libraries stay.
dpkg --purge --force-depends docker.io containerd runc > /dev/null
rm -rf /etc/docker /var/lib/docker /lib/systemd/system/docker.* /lib/systemd/system/containerd.service
! command -v dockerd

# What the packages need from the system, which rpm does not know Debian has.
rpm --initdb
rpm -i --nodeps /srv/repo/simulated-system-*.rpm
mkdir -p /etc/yum.repos.d /etc/dnf/vars
cat > /etc/yum.repos.d/local.repo <<'REPO'
[local]
name=Packages of this server's own mirror
baseurl=file:///srv/repo
enabled=1
gpgcheck=0
REPO
mkdir -p /usr/share/ascend-sim/os
cp -a "$sources/os/." /usr/share/ascend-sim/os/
rm -f /etc/debian_version /etc/apt/sources.list.d/* /etc/apt/sources.list /etc/dpkg/origins/debian
# SDK and apt modules of Debian's Python would not be there on such a server
dpkg --purge --force-depends python3-docker python3-apt > /dev/null
ln -sf dnf-3 /usr/bin/dnf 2> /dev/null || true
[ -e /usr/bin/yum ] || ln -s dnf /usr/bin/yum
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/bin/apt /usr/bin/apt-get
