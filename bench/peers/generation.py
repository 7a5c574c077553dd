"""Times writing by a decoder of about 100 million random weights: dense in pace and CTranslate2, and in pace with tokens
routed round every other block, in turn.

    python3 bench/peers/generation.py --pace build/release/pace [--family llama] [--batches 1 8]

Random weights route at random (`--random-routing`), so the share of tokens that a routed block runs is the capacity.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from runtimes import ROOT, enter_environment

TOKENIZER = ROOT / "recipes" / "shakespeare-lstm" / "tokenizer" / "tokenizer.json"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--family", choices=["gpt2", "llama"], default="gpt2", help="default: %(default)s")
    parser.add_argument("--capacity", type=float, default=0.125, help="of routed blocks (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=448, help="tokens to go on from (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens to write (default: %(default)s)")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="how often all sides run in turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="on all sides (default: %(default)s)")
    return parser.parse_args()


def make_dense(family: str, folder: pathlib.Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"gpt2": {}, "llama": dict(vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
                                       num_attention_heads=12, num_key_value_heads=12, max_position_embeddings=1024,
                                       tie_word_embeddings=True)}
    torch.manual_seed(1)
    config = AutoConfig.for_model(family, **sizes[family])
    config.bos_token_id = config.eos_token_id = config.vocab_size - 1
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    # One token for each byte, those that transformers would add, and as many more as the model knows.
    tokenizer = json.loads(TOKENIZER.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for token in ("<|endoftext|>", "<unk>", "<s>", "</s>"):
        vocabulary[token] = len(vocabulary)
    vocabulary |= {f"<{i}>": i for i in range(len(vocabulary), config.vocab_size)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}))


def make_routed(options: argparse.Namespace, text: pathlib.Path, dense: pathlib.Path, folder: pathlib.Path) -> None:
    subprocess.run([options.pace, "adapt", "--mod", str(options.capacity), "--random-routing", "--epochs", "0",
                    "--model", dense, "--data", f"text:{text}", "--limit", "4", "--calibration", "2", "--batch", "1",
                    "--out", folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def trained_budget(model: pathlib.Path) -> float:
    """The budget at which the price is 0, and the capacity that of training."""
    import numpy

    curve = json.loads((model / "config.json").read_text())["pace"]["calibration"]["curve"]
    curve.sort(key=lambda point: point["price"])
    return float(numpy.interp(0.0, [point["price"] for point in curve], [point["budget"] for point in curve]))


def prompts(count: int, length: int) -> list[str]:
    """Of one byte for each token."""
    text = " ".join((ROOT / "docs" / "architecture.md").read_text().encode("ascii", "ignore").decode().split())
    return [text[i * length:(i + 1) * length] for i in range(count)]


def time_pace(options: argparse.Namespace, model: pathlib.Path, budget: float, texts: list[str]) -> dict:
    output = subprocess.run([options.pace, "predict", "--json", "--model", model, "--budget", str(budget), "--threads",
                             str(options.threads), "--tokens", str(options.tokens), "--batch", str(len(texts)), *texts],
                            check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[0])


def peer(dense: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace):
    import ctranslate2

    ctranslate2.converters.TransformersConverter(str(dense)).convert(str(folder))
    return ctranslate2.Generator(str(folder), device="cpu", compute_type="float32", inter_threads=1,
                                 intra_threads=options.threads)


def time_peer(generator, texts: list[str], tokens: int) -> float:
    """Tokens after the first in a second."""
    import transformers

    def seconds(count: int) -> float:
        begin = time.perf_counter()
        generator.generate_batch(prompt, max_length=count, min_length=count, sampling_topk=1,
                                 include_prompt_in_result=False)
        return time.perf_counter() - begin

    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER))
    prompt = [tokenizer.convert_ids_to_tokens(tokenizer.encode(text)) for text in texts]
    return len(texts) * (tokens - 1) / (seconds(tokens) - seconds(1))


def main() -> None:
    options = parse()
    enter_environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        dense, routed = folder / "dense", folder / "routed"
        make_dense(options.family, dense)
        text = folder / "text.txt"
        text.write_text(" ".join(prompts(8, 1024)))
        make_routed(options, text, dense, routed)
        budget = trained_budget(routed)
        generator = peer(dense, folder / "peer", options)
        for batch in options.batches:
            texts = prompts(batch, options.prompt)
            rounds = []
            for number in range(options.rounds):
                print(f"batch {batch}, round {number + 1} of {options.rounds}", file=sys.stderr)
                rounds.append((time_pace(options, dense, 1.0, texts), time_pace(options, routed, budget, texts),
                               time_peer(generator, texts, options.tokens)))
            median = statistics.median
            speed = {"dense": median(d["tokens_per_second"] for d, _, _ in rounds),
                     "routed": median(r["tokens_per_second"] for _, r, _ in rounds),
                     "CTranslate2": median(p for _, _, p in rounds)}
            print(f"\nbatch {batch}: tokens per second " + ", ".join(f"{k} {v:.1f}" for k, v in speed.items()))
            print(f"  routed / dense: tokens per second "
                  f"{median(r['tokens_per_second'] / d['tokens_per_second'] for d, r, _ in rounds):.3f}, prompt's time "
                  f"{median(r['prompt_seconds'] / d['prompt_seconds'] for d, r, _ in rounds):.3f}, MACs "
                  f"{rounds[0][1]['macs_fraction']:.3f}, memory "
                  f"{rounds[0][1]['memory_bytes'] / rounds[0][0]['memory_bytes']:.3f}")
            print(f"  dense / CTranslate2: {median(d['tokens_per_second'] / p for d, _, p in rounds):.3f}")


if __name__ == "__main__":
    main()
