# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Install, trim and try the CPU build of vLLM, then write it to /out as a layer and the tiny
# model it was tried with beside it. Needs KERNELS: the one native library this CPU uses.
export PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HUB_OFFLINE=1
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib", "posix_local"))')
mkdir -p "$packages"

echo "== install"
pip install --quiet --quiet --no-compile --no-deps --target "$packages" -r /opt/build/lock.txt

echo "== trim"
cd "$packages"
rm -rf torch/test torch/include torch/share torch/lib/*test*.so torch/lib/*.a bin
find torch/bin -type f ! -name torch_shm_manager -delete
find vllm -maxdepth 1 -name '_C*.so' ! -name "$KERNELS.abi3.so" -delete
find . -name '*.pyi' -delete
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
apt-get update -qq
apt-get install -y -qq --no-install-recommends binutils > /dev/null
strip --strip-unneeded torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so vllm/_C*.so
cd /

echo "== make the model"
mkdir -p /out/model
python3 /opt/build/make_model.py /out/model

echo "== try it: start the server and ask"
python3 /opt/build/try_serving.py /out/model

# The trial compiled exactly the modules that serving imports; the layer keeps them, because a
# start that has to compile them takes several times as long. Times stay as they are: compiled
# modules name those of their sources.
echo "== pack"
tar --sort=name --owner=0 --group=0 --numeric-owner -C / -cf /out/layer.tar "${packages#/}"
