# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Add diffusers to what the vLLM image holds, make the tiny pipelines and try each, then write the layer and the
# pipelines to /out. Needs the packages of the vLLM image as /layer.tar.gz.
export PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HUB_OFFLINE=1
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib", "posix_local"))')
tar -xzf /layer.tar.gz -C /
touch /tmp/before

echo "== install"
pip install --quiet --quiet --no-compile --no-deps --target /tmp/added -r /opt/build/lock.txt
find /tmp/added -name '*.pyi' -delete
find /tmp/added -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
cp -a /tmp/added/. "$packages/"
cp /opt/build/torchrun /usr/local/bin/torchrun
chmod 0755 /usr/local/bin/torchrun

echo "== make the pipelines and try each"
mkdir -p /out/pipelines
python3 /opt/build/make_pipelines.py /out/pipelines

# As with vLLM, the modules that the trial compiled are kept; those of the layer below, too.
echo "== pack"
cd /
{
    (cd /tmp/added && find . -type f) | sed "s|^\./|${packages#/}/|"
    find "${packages#/}" -name '*.pyc' -newer /tmp/before
    echo usr/local/bin/torchrun
} | sort -u > /tmp/list
tar --owner=0 --group=0 --numeric-owner -C / -cf /out/layer.tar -T /tmp/list
