"""Times a dense LSTM (model_type lstm-lm) in pace and in PyTorch, in turn: lstm.py --pace PACE --model LSTM

Texts of random tokens, all of one length, one thread on both sides; medians over rounds. Needs `torch` and `safetensors`
(tests/requirements.txt).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))
from lstm import Lstm  # noqa: E402


def time_pace(options: argparse.Namespace, batch: int) -> float:
    """Seconds for one text."""
    done = subprocess.run([options.pace, "bench", "--model", options.model, "--batch", str(batch), "--tokens",
                           str(options.tokens), "--threads", "1", "--format", "json"],
                          capture_output=True, check=True, text=True)
    return json.loads(done.stdout)["rows"][0]["seconds_per_item"]


def time_torch(model: Lstm, vocabulary: int, tokens: int, batch: int) -> float:
    inputs = torch.randint(vocabulary, (batch, tokens))
    seconds = []
    with torch.inference_mode():
        for _ in range(20):
            begin = time.perf_counter()
            model(inputs)
            seconds.append((time.perf_counter() - begin) / batch)
    return statistics.median(seconds[5:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pace", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, default=280)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = pathlib.Path(options.model)
    config = json.loads((folder / "config.json").read_text())
    model = Lstm(config).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    for batch in options.batches:
        rounds = [(time_pace(options, batch), time_torch(model, config["vocab_size"], options.tokens, batch))
                  for _ in range(options.rounds)]
        ours, theirs = (statistics.median(column) for column in zip(*rounds))
        print(f"batch {batch:3}: pace {1e3 * ours:.3f} ms, PyTorch {1e3 * theirs:.3f} ms a text: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
