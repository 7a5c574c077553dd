"""GPT-2 and Llama by transformers: model folders, logits for random tokens, and texts continued greedily."""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

NEW_TOKENS = 20


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    for name, tensor in model.named_parameters():
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() > 1:
            tensor.data.copy_(values * 1.5 / model.config.hidden_size ** 0.5)
        else:
            tensor.data.copy_(0.2 * values + name.endswith("weight"))


def save_case(folder: pathlib.Path, name: str, model: PreTrainedModel, batches: list[list[int]],
              generator: torch.Generator) -> None:
    randomise(model, generator)
    model.eval().save_pretrained(folder / name)
    vocabulary = model.config.vocab_size
    tensors = {}
    for lengths in batches:
        texts = [torch.randint(vocabulary, (length,), generator=generator) for length in lengths]
        inputs = torch.full((len(lengths), max(lengths), 2), -1)
        for row, text in enumerate(texts):
            inputs[row, : len(text)] = torch.stack([text, torch.zeros_like(text)], 1)
        with torch.no_grad():
            logits = [model(text.unsqueeze(0)).logits[0] for text in texts]
        key = "-".join(map(str, lengths))
        tensors[f"inputs.{key}"] = inputs
        tensors[f"logits.{key}"] = nn.utils.rnn.pad_sequence(logits, batch_first=True)
    prompt = torch.randint(vocabulary, (1, 6), generator=generator)
    greedy = model.generate(prompt, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None,
                            attention_mask=torch.ones_like(prompt), pad_token_id=0)
    save_file(tensors | {"greedy": greedy[0]}, folder / f"{name}.safetensors")


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(240402258)
    batches = [[9], [1, 40, 13], [40, 40]]
    odd = dict(vocab_size=83, n_embd=36, n_head=3, n_layer=3, n_positions=40, bos_token_id=0, eos_token_id=0)
    save_case(folder, "gpt2_odd", GPT2LMHeadModel(GPT2Config(**odd)), batches, generator)
    save_case(folder, "gpt2_untied",
              GPT2LMHeadModel(GPT2Config(**odd, n_inner=50, tie_word_embeddings=False)), batches, generator)
    llama = dict(vocab_size=83, hidden_size=36, intermediate_size=50, num_hidden_layers=3, max_position_embeddings=40)
    save_case(folder, "llama_odd", LlamaForCausalLM(LlamaConfig(**llama, num_attention_heads=3)), batches, generator)
    grouped = dict(num_attention_heads=6, num_key_value_heads=2, head_dim=10, rope_theta=500.0, rms_norm_eps=1e-3,
                   attention_bias=True, mlp_bias=True, tie_word_embeddings=True)
    save_case(folder, "llama_grouped", LlamaForCausalLM(LlamaConfig(**llama, **grouped)), batches, generator)
