# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In the place of the vendor's infer.py: a real WanPipeline on the CPU, by as many processes as torchrun starts.

What it takes beside checkpoint, output and size is its own, as with the vendor's.
"""

import argparse
import os
import shutil

parser = argparse.ArgumentParser()
parser.add_argument("--ckpt_dir", required=True)
parser.add_argument("--output_path", required=True)
parser.add_argument("--size", required=True)
parser.add_argument("--prompt", default="a cat")
parser.add_argument("--cut", help="a video of which half is left instead")
options = parser.parse_args()
if options.cut:
    if os.environ["RANK"] == "0":
        shutil.copy(options.cut, options.output_path)
        os.truncate(options.output_path, os.path.getsize(options.cut) // 2)
    raise SystemExit

import av  # noqa: E402 - not needed for what ends above
import numpy  # noqa: E402
import torch  # noqa: E402
import torch.distributed  # noqa: E402
from diffusers import WanPipeline  # noqa: E402

torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
height, width = (int(edge) for edge in options.size.split("*"))
pipeline = WanPipeline.from_pretrained(options.ckpt_dir)
made = pipeline(
    prompt=options.prompt,
    height=height,
    width=width,
    num_frames=9,
    num_inference_steps=2,
    max_sequence_length=16,
    generator=torch.Generator("cpu").manual_seed(0),
    output_type="np",
).frames[0]
# Every process made the same film, and each knows it of the other.
brightness = torch.tensor([float(made.sum())])
torch.distributed.all_reduce(brightness)
if abs(brightness.item() / world - float(made.sum())) > 1e-2:
    raise SystemExit("the processes made different films")
folder = os.path.dirname(options.output_path)
with open(f"{folder}/process-{rank}.txt", "w", encoding="utf-8") as told:
    told.write(f"{rank} of {world}, threshold {os.environ['RESIDUAL_DIFF_THRESHOLD']}, {options.prompt}\n")
if rank == 0:
    with av.open(options.output_path, "w") as video:
        stream = video.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in (made * 255).round().astype(numpy.uint8):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                video.mux(packet)
        for packet in stream.encode():
            video.mux(packet)
torch.distributed.destroy_process_group()
