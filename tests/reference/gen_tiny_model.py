#!/usr/bin/env python3
"""Generate tests/reference/tiny_llama: a Llama of four layers with its tokenizer, and what
transformers computes with it. The integration tests distil it.

    pip install torch transformers tokenizers safetensors
    gen_tiny_model.py [OUT_DIR]
"""
import json
import pathlib
import sys

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SEED = 20
TEXT = [
    "A teacher knows more than it says, and a student learns from what the teacher almost said.",
    "The river runs past the mill, and the miller counts the sacks of flour every evening.",
    "Numbers such as 12, 345 and 6789 are split into digits; words are split at spaces.",
    "If the loss goes down and the gradient stays small, the student is learning the right thing.",
    "She asked for a map of the town, a pencil, and a quiet room with a window to the north.",
    "for step in range(10): loss = divergence(student(x), teacher(x)); loss.backward()",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=384, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=[AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.train_from_iterator(TEXT * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>", "clean_up_tokenization_spaces": False,
        "model_max_length": 256, "chat_template": CHAT_TEMPLATE}, indent=2) + "\n")
    return tokenizer


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "tiny_llama")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder)
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(
        vocab_size=384, hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, initializer_range=0.2,
        bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model = transformers.LlamaForCausalLM(config)
    # Teach it the text, so that a student has something to learn.
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [torch.tensor([tokenizer.encode(t).ids + [2]]) for t in TEXT]
    for step in range(240):
        ids = rows[step % len(rows)]
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    model.save_pretrained(folder)
    ids = rows[0][:, :24]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    save_file({"input_ids": ids[0], "logits": logits.contiguous()}, folder / "reference.safetensors", metadata={
        "generated_by": "tests/reference/gen_tiny_model.py", "seed": str(SEED), "torch": torch.__version__,
        "transformers": transformers.__version__, "tokenizers": tokenizers.__version__})
    for name, texts in (("train", TEXT * 3), ("eval", TEXT[::2])):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
            out.writelines(json.dumps({"text": t}) + "\n" for t in texts)
    print(f"{folder}: final loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
