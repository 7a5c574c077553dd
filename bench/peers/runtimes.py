"""Times pace, dense and adaptive, beside dense runtimes on the same weights, in turn on the same machine.

    python3 bench/peers/runtimes.py --pace build/release/pace [--rounds 5] [--json FILE]

It installs what it compares with (requirements.txt) into build/peers. README.md beside this file says what is measured.
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

from noise import write_images, write_speech

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / "build" / "peers"
REQUIREMENTS = [ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt", HERE / "requirements.txt"]
CLASSES, PATCH, LAYERS, RATE = 10, 16, 12, 16000
# Transformers of 12 blocks: sizes, and the batches they are measured at. Vision transformers, dense and adaptive; and a BERT
# on texts of different lengths, which the peers get padded to the longest. A speech recogniser of wav2vec2-base's shape.
WORKS = {
    "vit-b16": {"dim": 768, "heads": 12, "image_size": 224, "batches": [1, 8]},
    "d384": {"dim": 384, "heads": 6, "image_size": 176, "batches": [1]},
    "wav2vec2-base": {"dim": 768, "heads": 12, "seconds": 10, "batches": [1]},
    "texts": {"dim": 384, "heads": 12, "tokens": (5, 128), "batches": [64]},
}
PEERS = ["pytorch f32", "onnxruntime f32", "openvino f32", "pytorch bf16", "openvino bf16", "openvino int8"]
PACE = ["f32", "bf16"]
REFERENCE = "openvino"  # of the same precision


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), help="default: all")
    parser.add_argument("--budget", type=float, default=0.5, help="of the adaptive model (default: %(default)s)")
    parser.add_argument("--learners", type=int, default=16, help="learners per module (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often all sides run in turn (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=10, help="timed runs per side and round (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="on all sides (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured here")
    parser.add_argument("--child", nargs=4, metavar=("SIDE", "FOLDER", "WORK", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not os.access(options.pace, os.X_OK):
        parser.error(f"--pace: {options.pace} is no program; build it first")
    return options


def enter_environment() -> None:
    """Goes on in the Python that has the peers, made when it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if pathlib.Path(sys.prefix) == ENVIRONMENT:
        return
    done = ENVIRONMENT / "installed"
    wanted = "".join(path.read_text() for path in REQUIREMENTS)
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        files = [part for path in REQUIREMENTS for part in ("-r", path)]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *files], check=True)
        done.write_text(wanted)
    os.execv(python, [python, *sys.argv])


# --- the models ---


def write_dense(folder: pathlib.Path, work: dict) -> None:
    from transformers import (BertConfig, BertForSequenceClassification, ViTConfig, ViTForImageClassification,
                              ViTImageProcessor, Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC)

    sizes = {"hidden_size": work["dim"], "num_attention_heads": work["heads"], "num_hidden_layers": LAYERS,
             "intermediate_size": 4 * work["dim"], "num_labels": CLASSES}
    if "tokens" in work:
        BertForSequenceClassification(BertConfig(**sizes)).save_pretrained(folder)
        return
    if "seconds" in work:
        Wav2Vec2ForCTC(Wav2Vec2Config(**sizes)).save_pretrained(folder)
        Wav2Vec2FeatureExtractor().save_pretrained(folder)
        letters = ["<pad>", "<s>", "</s>", "<unk>", "|", "'", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
        (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
        return
    size = work["image_size"]
    ViTForImageClassification(ViTConfig(**sizes, image_size=size, patch_size=PATCH)).save_pretrained(folder)
    ViTImageProcessor(size={"height": size, "width": size}).save_pretrained(folder)


def random_inputs(work: dict, batch: int) -> list:
    """Pixels, samples of sounds, or token numbers and the mask of the real ones, as numpy arrays."""
    import numpy

    generator = numpy.random.default_rng(0)
    if "image_size" in work:
        return [generator.standard_normal((batch, 3, work["image_size"], work["image_size"]), dtype=numpy.float32)]
    if "seconds" in work:
        return [generator.standard_normal((batch, work["seconds"] * RATE), dtype=numpy.float32)]
    least, most = work["tokens"]
    lengths = least + (most - least) * numpy.arange(batch) // max(1, batch - 1)  # as pace bench --tokens least..most
    mask = (numpy.arange(most) < lengths[:, None]).astype(numpy.int64)
    return [generator.integers(1000, 20000, (batch, most)) * mask, mask]


def torch_model(folder: pathlib.Path):
    import torch
    from transformers import AutoModelForCTC, AutoModelForImageClassification, AutoModelForSequenceClassification

    kinds = {"bert": AutoModelForSequenceClassification, "vit": AutoModelForImageClassification, "wav2vec2": AutoModelForCTC}

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            kind = kinds[json.loads((folder / "config.json").read_text())["model_type"]]
            self.model = kind.from_pretrained(folder).eval()

        def forward(self, *inputs):
            return self.model(*inputs).logits

    return Logits().eval()


def export(folder: pathlib.Path, work: dict, batch: int) -> None:
    """The same weights as ONNX, and as OpenVINO's int8, for one batch size."""
    import nncf
    import openvino
    import torch

    inputs = random_inputs(work, batch)
    onnx = folder / f"batch{batch}.onnx"
    torch.onnx.export(torch_model(folder), tuple(map(torch.from_numpy, inputs)), onnx, dynamo=True, verbose=False)
    model = openvino.Core().read_model(onnx)
    data = nncf.Dataset([{given.get_any_name(): value for given, value in zip(model.inputs, inputs)}])
    quantized = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantized, folder / f"batch{batch}-int8.xml")


def write_adaptive(folder: pathlib.Path, options: argparse.Namespace, work: dict) -> None:
    """The dense model's learners with gates as they begin, calibrated on noise: no training, since that changes no speed."""
    folder.parent.joinpath("data").mkdir()
    if "seconds" in work:
        data, held_out = f"speech:{write_speech(folder.parent / 'data', 4, work['seconds'], RATE)}", 1
    else:
        write_images(folder.parent / "data", 2 * CLASSES, work["image_size"], CLASSES)
        data, held_out = f"images:{folder.parent / 'data'}", CLASSES
    command = [options.pace, "adapt", "--model", folder.parent / "dense", "--data", data]
    command += ["--out", folder, "--learners", options.learners, "--calibration", held_out, "--batch", 1]
    command += ["--statistics-examples", CLASSES]
    command += [part for phase in (1, 2, 3) for part in (f"--epochs{phase}", 0)]
    run(command, options.threads)


# --- the sides ---


def openvino_side(path: pathlib.Path, precision: str, threads: int):
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True, share_outputs=True)


def onnxruntime_side(path: pathlib.Path, threads: int):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs)))


def pytorch_side(folder: pathlib.Path, precision: str, threads: int):
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = torch_model(folder).to(dtype)

    def infer(inputs):
        tensors = map(torch.from_numpy, inputs)
        return model(*[tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors])

    return infer


def child(side: str, folder: pathlib.Path, name: str, batch: int, options: argparse.Namespace) -> None:
    """Prints the seconds of every timed run."""
    runtime, precision = side.split()
    if runtime == "pytorch":
        infer = pytorch_side(folder, precision, options.threads)
    elif runtime == "onnxruntime":
        infer = onnxruntime_side(folder / f"batch{batch}.onnx", options.threads)
    elif precision == "int8":
        infer = openvino_side(folder / f"batch{batch}-int8.xml", "f32", options.threads)
    else:
        infer = openvino_side(folder / f"batch{batch}.onnx", precision, options.threads)
    inputs = random_inputs(WORKS[name], batch)
    for _ in range(2):  # warms up
        infer(inputs)
    seconds = []
    for _ in range(options.repeats):
        begin = time.perf_counter()
        infer(inputs)
        seconds.append(time.perf_counter() - begin)
    print(json.dumps(seconds))


# --- measuring ---


def run(command: list, threads: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(list(map(str, command)), env=environment, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def time_pace(options: argparse.Namespace, data: str, batch: int, *more) -> dict:
    """By name: seconds per example, share of the MACs, share of pace's own dense time, of a model and its dense original."""
    output = run([options.pace, "eval", "--model", options.model, "--dense", options.dense, "--data", data, "--batch", batch,
                  "--budgets", options.budgets, "--threads", options.threads, "--json", *more], options.threads)
    results = json.loads(output)
    named = [("dense", results["dense"])] + [(f"budget {r['budget']:g}", r) for r in results["budgets"]]
    return {name: [r["seconds_per_item"], r["macs_fraction"], r["time_fraction"]] for name, r in named}


def run_peer(side: str, folder: pathlib.Path, name: str, batch: int, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--pace", options.pace, "--threads", options.threads]
    command += ["--repeats", options.repeats, "--child", side, folder / "dense", name, batch]
    return {side: statistics.median(json.loads(run(command, options.threads).splitlines()[-1]))}


def run_pace(dtype: str, folder: pathlib.Path, name: str, batch: int, options: argparse.Namespace) -> dict:
    command = [options.pace, "bench", "--batch", batch, "--threads", options.threads, "--dtype", dtype]
    command += ["--repeats", options.repeats, "--json"]
    if "tokens" in WORKS[name]:
        command += ["--model", folder / "dense", "--tokens", "{}..{}".format(*WORKS[name]["tokens"])]
    else:
        command += ["--model", folder / "adaptive", "--budgets", options.budget]
    rows = json.loads(run(command, options.threads))["rows"]
    return {f"pace {row['name']} {100 * row['macs_fraction']:.0f} % {dtype}": row["seconds_per_item"] * batch for row in rows}


def measure(name: str, folder: pathlib.Path, options: argparse.Namespace) -> dict:
    """Seconds of every side in every round, by batch."""
    results = {}
    for batch in WORKS[name]["batches"]:
        export(folder / "dense", WORKS[name], batch)
        sides = results[batch] = {}
        for number in range(options.rounds):
            print(f"batch {batch}, round {number + 1} of {options.rounds}", file=sys.stderr)
            measured = [run_peer(side, folder, name, batch, options) for side in PEERS]
            measured += [run_pace(dtype, folder, name, batch, options) for dtype in PACE]
            for side, seconds in (pair for one in measured for pair in one.items()):
                sides.setdefault(side, []).append(seconds)
    return results


def print_table(name: str, results: dict) -> None:
    for batch, sides in results.items():
        print(f"\n{name}, batch {batch}\n{'side':<28}{'ms':>9}{'of OpenVINO, same precision':>30}")
        for side, rounds in sides.items():
            reference = sides.get(f"{REFERENCE} {side.split()[-1]}", rounds)
            ratio = statistics.median(mine / theirs for mine, theirs in zip(rounds, reference))
            print(f"{side:<28}{1e3 * statistics.median(rounds):>9.2f}{ratio:>30.3f}")


def main() -> None:
    options = parse()
    enter_environment()
    if options.child:
        side, folder, name, batch = options.child
        child(side, pathlib.Path(folder), name, int(batch), options)
        return
    results = {}
    for name in options.works:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            write_dense(folder / "dense", WORKS[name])
            if "tokens" not in WORKS[name]:
                write_adaptive(folder / "adaptive", options, WORKS[name])
            results[name] = measure(name, folder, options)
        print_table(name, results[name])
    if options.json:
        settings = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in vars(options).items() if k != "json"}
        options.json.write_text(json.dumps({"options": settings, "seconds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
