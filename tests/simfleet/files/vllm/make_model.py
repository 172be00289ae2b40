# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the tiny chat model of the simulated fleet: real architecture, random weights.

usage: make_model.py FOLDER. Head size is 64 because vLLM's CPU attention refuses smaller ones.
"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END_OF_TEXT, TURN_BEGINS, TURN_ENDS = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SENTENCES = ["the fleet is up", "every card is healthy", "hello from a very small model"]


def tokenizer():
    """A byte-level tokenizer that can spell anything."""
    byte_pairs = Tokenizer(models.BPE(unk_token=None))
    byte_pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_pairs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[END_OF_TEXT, TURN_BEGINS, TURN_ENDS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    byte_pairs.train_from_iterator(SENTENCES * 8, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs, eos_token=TURN_ENDS, pad_token=END_OF_TEXT
    )
    made.chat_template = CHAT_TEMPLATE
    return made


def main(folder):
    """Write the tokenizer and the model."""
    torch.manual_seed(6502)
    words = tokenizer()
    words.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(words),
        hidden_size=256,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    print(f"{sum(p.numel() for p in model.parameters())} parameters in {folder}")


main(sys.argv[1])
