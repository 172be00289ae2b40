# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the tiny chat model of the simulated fleet: a real architecture that knows two sentences.

usage: make_model.py FOLDER. Random weights and some seconds of training, so that its answer can
be read. Head size is 64 because vLLM's CPU attention refuses smaller ones.
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
QUESTION = "How is the fleet?"
ANSWER = "The fleet is up and every card is healthy."
STEPS = 40


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
    byte_pairs.train_from_iterator([QUESTION, ANSWER] * 8, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=byte_pairs, eos_token=TURN_ENDS, pad_token=END_OF_TEXT)
    made.chat_template = CHAT_TEMPLATE
    return made


def teach(model, words):
    """Repeat one short conversation until the model can say its part."""
    asked = words.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    prompt = words(asked, return_tensors="pt").input_ids
    both = words(f"{asked}{ANSWER}{TURN_ENDS}", return_tensors="pt").input_ids
    labels = both.clone()
    labels[:, : prompt.shape[1]] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _step in range(STEPS):
        loss = model(input_ids=both, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def main(folder):
    """Write the tokenizer and the model."""
    torch.set_num_threads(1)
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
    loss = teach(model, words)
    model.save_pretrained(folder)
    print(f"loss {loss:.4f}, {sum(p.numel() for p in model.parameters())} parameters in {folder}")


main(sys.argv[1])
