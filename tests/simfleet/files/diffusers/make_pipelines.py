# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a tiny pipeline of every family that the guide names: the real classes with random weights.

usage: make_pipelines.py FOLDER. Each is saved, loaded again and asked for one picture (or clip) in two steps.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

TEXT_LENGTH = 77
WIDTH = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUESTION = {"prompt": "a cat", "num_inference_steps": 2}


def clip_tokenizer():
    """Every byte with and without the end of a word; no merges, so that any text can be spelled."""
    spelled = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*spelled, *(f"{letter}</w>" for letter in spelled), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as name:
        vocabulary, merges = Path(name, "vocab.json"), Path(name, "merges.txt")
        vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
        merges.write_text("#version: 0.2\n")
        return transformers.CLIPTokenizer(vocab=str(vocabulary), merges=str(merges), model_max_length=TEXT_LENGTH)


def word_tokenizer():
    """For T5 and BERT: single letters, all else unknown."""
    words = ["<pad>", "</s>", "<unk>", *LETTERS, " "]
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


CLIP, WORDS = clip_tokenizer(), word_tokenizer()
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37, "hidden_size": WIDTH}
NOTHING = {"image_encoder": None, "feature_extractor": None}
UNCHECKED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def clip(kind=transformers.CLIPTextModel):
    return kind(
        transformers.CLIPTextConfig(
            **SMALL,
            vocab_size=len(CLIP),
            bos_token_id=CLIP.bos_token_id,
            eos_token_id=CLIP.eos_token_id,
            pad_token_id=1,
            projection_dim=WIDTH,
            hidden_act="gelu",
        )
    )


def projected_clip():
    return clip(transformers.CLIPTextModelWithProjection)


def t5(model=transformers.T5EncoderModel, config=transformers.T5Config):
    return model(config(vocab_size=40, d_model=WIDTH, d_kv=8, d_ff=37, num_layers=2, num_heads=4))


def unet_vae(**more):
    return diffusers.AutoencoderKL(
        block_out_channels=[4, 8],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=2,
        **more,
    )


def transformer_vae(channels):
    return diffusers.AutoencoderKL(
        sample_size=32,
        block_out_channels=(4,),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=1,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0609,
        scaling_factor=1.5035,
    )


def unet(**more):
    return diffusers.UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **more,
    )


def sd15():
    return diffusers.StableDiffusionPipeline(
        unet=unet(block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=WIDTH, norm_num_groups=2),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
        vae=unet_vae(),
        text_encoder=clip(),
        tokenizer=CLIP,
        image_encoder=None,
        **UNCHECKED,
    )


def sdxl():
    return diffusers.StableDiffusionXLPipeline(
        unet=unet(
            block_out_channels=(2, 4),
            layers_per_block=2,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=80,
            cross_attention_dim=2 * WIDTH,
            norm_num_groups=1,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading"),
        vae=unet_vae(sample_size=128),
        text_encoder=clip(),
        tokenizer=CLIP,
        text_encoder_2=projected_clip(),
        tokenizer_2=CLIP,
        **NOTHING,
    )


def sd3():
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            pooled_projection_dim=2 * WIDTH,
        ),
        text_encoder=projected_clip(),
        tokenizer=CLIP,
        text_encoder_2=projected_clip(),
        tokenizer_2=CLIP,
        text_encoder_3=t5(),
        tokenizer_3=WORDS,
        vae=transformer_vae(4),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        **NOTHING,
    )


def flux():
    return diffusers.FluxPipeline(
        transformer=diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
        ),
        text_encoder=clip(),
        tokenizer=CLIP,
        text_encoder_2=t5(),
        tokenizer_2=WORDS,
        vae=transformer_vae(1),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        **NOTHING,
    )


def hunyuandit():
    return diffusers.HunyuanDiTPipeline(
        transformer=diffusers.HunyuanDiT2DModel(
            sample_size=16,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            in_channels=4,
            cross_attention_dim=32,
            cross_attention_dim_t5=32,
            pooled_projection_dim=16,
            hidden_size=24,
            activation_fn="gelu-approximate",
        ).eval(),
        vae=unet_vae(),
        scheduler=diffusers.DDPMScheduler(),
        text_encoder=transformers.BertModel(transformers.BertConfig(vocab_size=40, **SMALL)),
        tokenizer=WORDS,
        text_encoder_2=t5(),
        tokenizer_2=WORDS,
        **UNCHECKED,
    )


def wan():
    return diffusers.WanPipeline(
        transformer=diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=256,
            ffn_dim=32,
            num_layers=2,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ),
        vae=diffusers.AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=t5(transformers.UMT5EncoderModel, transformers.UMT5Config),
        tokenizer=WORDS,
    )


# Name of the folder -> who makes it, and what its class needs to be asked in a tiny size.
PIPELINES = {
    "sd15": (sd15, {"height": 64, "width": 64}),
    "sdxl": (sdxl, {"height": 64, "width": 64}),
    "sd3": (sd3, {"height": 32, "width": 32}),
    "flux": (flux, {"height": 8, "width": 8, "max_sequence_length": 48}),
    "hunyuandit": (hunyuandit, {"height": 16, "width": 16, "use_resolution_binning": False}),
    "wan": (wan, {"height": 16, "width": 16, "num_frames": 9, "max_sequence_length": 16}),
}


def main(folder):
    torch.set_num_threads(2)
    for name, (make, size) in PIPELINES.items():
        began = time.monotonic()
        torch.manual_seed(0)
        made = make()
        made.save_pretrained(folder / name)
        again = type(made).from_pretrained(folder / name)
        again.set_progress_bar_config(disable=True)
        reply = again(**QUESTION, **size, generator=torch.Generator("cpu").manual_seed(0))
        shown = getattr(reply, "images", None) or reply.frames
        print(f"== {name}: {type(made).__name__}, {len(shown)} in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
