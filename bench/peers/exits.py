"""Times a model with exits beside its dense original in ONNX Runtime, on the same batches of real texts, in turn.

    python3 bench/peers/exits.py --pace build/release/pace --model EXITS --dense DENSE --data dev.tsv [--batches 1 32]

ONNX Runtime gets every batch padded to its longest text; turning texts into tokens is not timed on either side.
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

from runtimes import enter_environment, onnxruntime_side, time_pace, torch_model


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the model with exits")
    parser.add_argument("--dense", type=pathlib.Path, required=True, help="folder of the dense original, with tokenizer.json")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="TSV with the columns sentence and label")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32], help="default: %(default)s")
    parser.add_argument("--budgets", default="0.8,0.6,0.5,0.4", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides run in turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="on both sides (default: %(default)s)")
    return parser.parse_args()


def export(dense: pathlib.Path, target: pathlib.Path) -> None:
    import torch

    tokens = torch.ones(2, 7, dtype=torch.int64)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    torch.onnx.export(torch_model(dense), (tokens, tokens), target, dynamo=True, verbose=False,
                      dynamic_shapes=(({0: batch, 1: length}, {0: batch, 1: length}),))


def padded_batches(options: argparse.Namespace, size: int) -> list:
    """Token numbers and masks of the batches, in the order of the file."""
    import numpy
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(options.dense / "tokenizer.json"))
    tokenizer.no_padding()
    header, *lines = options.data.read_text(encoding="utf-8").splitlines()
    column = header.split("\t").index("sentence")
    texts = [tokenizer.encode(line.split("\t")[column]).ids for line in lines if line.strip()]
    batches = []
    for begin in range(0, len(texts), size):
        ids = texts[begin:begin + size]
        longest = max(map(len, ids))
        batches.append([numpy.array([row + [0] * (longest - len(row)) for row in ids], numpy.int64),
                        numpy.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids], numpy.int64)])
    return batches


def time_peer(infer, batches: list) -> float:
    """Seconds per text over all batches but those that took three times as long for their size as the median one, the
    rule of pace eval."""
    infer(batches[0])
    seconds = []
    for batch in batches:
        begin = time.perf_counter()
        infer(batch)
        seconds.append(time.perf_counter() - begin)
    per_token = [s / batch[0].size for s, batch in zip(seconds, batches)]
    limit = 3 * statistics.median(per_token)
    kept = [(s, len(batch[0])) for s, batch, each in zip(seconds, batches, per_token) if each <= limit]
    return sum(s for s, _ in kept) / sum(texts for _, texts in kept)


def main() -> None:
    options = parse()
    enter_environment()
    with tempfile.TemporaryDirectory() as temporary:
        onnx = pathlib.Path(temporary) / "dense.onnx"
        export(options.dense, onnx)
        infer = onnxruntime_side(onnx, options.threads)
        for size in options.batches:
            batches = padded_batches(options, size)
            rounds = []
            for number in range(options.rounds):
                print(f"batch {size}, round {number + 1} of {options.rounds}", file=sys.stderr)
                rounds.append((time_peer(infer, batches), time_pace(options, f"tsv:{options.data}", size)))
            print(f"\nbatch {size}: ONNX Runtime, dense: {1e6 * statistics.median(peer for peer, _ in rounds):.0f} us per text")
            print(f"{'pace':<14}{'MACs':>8}{'of pace dense':>16}{'of ONNX Runtime':>18}")
            for name in rounds[0][1]:
                macs = rounds[0][1][name][1]
                own = statistics.median(pace[name][2] for _, pace in rounds)
                ratio = statistics.median(pace[name][0] / peer for peer, pace in rounds)
                print(f"{name:<14}{macs:>8.3f}{own:>16.3f}{ratio:>18.3f}")


if __name__ == "__main__":
    main()
