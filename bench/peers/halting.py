"""Times a residual network that halts beside its dense original in pace, ONNX Runtime and OpenVINO, in turn.

    python3 bench/peers/halting.py --pace build/release/pace --model HALTING --dense DENSE --data images:DIR [--batches 1 64]

The dense folder must be of pace's own format (model_type resnet-cifar or resnet-torchvision). The peers get noise of the same
shape: no dense network's time depends on the picture. Reading pictures is not timed on any side.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

from runtimes import ROOT, enter_environment, onnxruntime_side, openvino_side, time_pace


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the halting model")
    parser.add_argument("--dense", type=pathlib.Path, required=True, help="folder of the dense original")
    parser.add_argument("--data", required=True, help="pictures, as the command takes them")
    parser.add_argument("--limit", type=int, default=1024, help="pictures per round (default: %(default)s)")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64], help="default: %(default)s")
    parser.add_argument("--budgets", default="1,0.8,0.6,0.5", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="how often all sides run in turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="on all sides (default: %(default)s)")
    return parser.parse_args()


def export(dense: pathlib.Path, pixels, target: pathlib.Path) -> None:
    import torch
    from safetensors.torch import load_file

    sys.path.insert(0, str(ROOT / "tests" / "reference"))
    from resnet import ResNet

    config = json.loads((dense / "config.json").read_text())
    config.setdefault("num_labels", len(config.get("id2label", {})))
    model = ResNet(config).eval()
    model.load_state_dict(load_file(dense / "model.safetensors"), strict=False)
    torch.onnx.export(model, (torch.from_numpy(pixels),), target, dynamo=True, verbose=False)


def noise(dense: pathlib.Path, batch: int):
    import numpy

    config = json.loads((dense / "config.json").read_text())
    shape = (batch, config.get("num_channels", 3), config["image_size"], config["image_size"])
    return numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)


def time_peer(infer, pixels, pictures: int) -> float:
    """Median seconds per picture."""
    seconds = []
    for _ in range(max(10, pictures // len(pixels))):
        begin = time.perf_counter()
        infer([pixels])
        seconds.append((time.perf_counter() - begin) / len(pixels))
    return statistics.median(seconds)


def main() -> None:
    options = parse()
    enter_environment()
    for batch in options.batches:
        pixels = noise(options.dense, batch)
        with tempfile.TemporaryDirectory() as temporary:
            onnx = pathlib.Path(temporary) / "dense.onnx"
            export(options.dense, pixels, onnx)
            peers = {"ONNX Runtime": onnxruntime_side(onnx, options.threads),
                     "OpenVINO": openvino_side(onnx, "f32", options.threads)}
        rounds = []
        for number in range(options.rounds):
            print(f"batch {batch}, round {number + 1} of {options.rounds}", file=sys.stderr)
            timed = {name: time_peer(infer, pixels, options.limit) for name, infer in peers.items()}
            rounds.append((timed, time_pace(options, options.data, batch, "--limit", options.limit)))
        print(f"\nbatch {batch}: " + ", ".join(
            f"{name} {1e6 * statistics.median(timed[name] for timed, _ in rounds):.0f} us a picture" for name in peers))
        print(f"{'pace':<14}{'MACs':>8}{'of pace dense':>16}" + "".join(f"{'of ' + name:>18}" for name in peers))
        for name in rounds[0][1]:
            own = statistics.median(pace[name][2] for _, pace in rounds)
            ratios = [statistics.median(pace[name][0] / timed[peer] for timed, pace in rounds) for peer in peers]
            print(f"{name:<14}{rounds[0][1][name][1]:>8.3f}{own:>16.3f}" + "".join(f"{r:>18.3f}" for r in ratios))


if __name__ == "__main__":
    main()
