"""Times `pace adapt` beside the same three phases in PyTorch (acm_torch.py), in turn on the same machine.

    python bench/peers/acm_training.py --pace build/release/pace [--learners 16] [--rounds 3] [--json FILE]

README.md beside this file says what is measured.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from noise import write_images

HERE = pathlib.Path(__file__).resolve().parent
PHASES = ["learners", "gates", "end-to-end"]
CLASSES = 10  # as acm_torch.py has them
MIB = 1 << 20


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--learners", type=int, default=16, help="learners per module (default: %(default)s)")
    parser.add_argument("--maps", default="mlp", help="of mlp,query,key,value,output (default: %(default)s)")
    parser.add_argument("--phases", default=",".join(PHASES), help="default: %(default)s")
    parser.add_argument("--styles", default="plain,lean", help="of acm_torch.py (default: %(default)s)")
    for name, value, meaning in [
        ("rounds", 3, "how often all sides run each phase in turn"),
        ("windows", 3, "timed windows of a run, after one that warms up"),
        ("steps", 4, "training steps of a window"),
        ("batch", 32, "images of a step"),
        ("image-size", 84, "pixels"),
        ("patch-size", 14, "pixels"),
        ("dim", 384, "of a token"),
        ("layers", 12, "blocks"),
        ("heads", 6, "of the attention"),
        ("threads", os.cpu_count(), "that compute, on all sides"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (default: %(default)s)")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured here")
    options = parser.parse_args()
    if not os.access(options.pace, os.X_OK):
        parser.error(f"--pace: {options.pace} is no program; build it first")
    options.phases, options.styles = options.phases.split(","), options.styles.split(",")
    if not set(options.phases) <= set(PHASES):
        parser.error(f"--phases: choose from {', '.join(PHASES)}")
    if not set(options.styles) <= {"plain", "lean"}:
        parser.error("--styles: choose from plain, lean")
    if not 1 <= options.steps < 20:
        parser.error("--steps: 1 to 19 (pace reports its speed every 20 steps and at the end of an epoch)")
    if min(options.rounds, options.windows, options.threads) < 1 or options.batch < 2:
        parser.error("--rounds, --windows and --threads must be at least 1, --batch 2")
    return options


def resident_bytes(pid: int) -> int | None:
    """None of a process that is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:")), None)


def run(command: list, threads: int, begun: pathlib.Path | None = None) -> tuple[str, int, int | None]:
    """Output, peak memory (ru_maxrss), and the memory at the moment when the file `begun` appears."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=errors, env=environment)
        before = None
        while begun and before is None:
            exists = begun.exists()
            before = resident_bytes(process.pid)
            if before is None:
                break
            if not exists:
                before = None
                time.sleep(0.01)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\nended with status {process.returncode}:\n{errors.read()}")
        return output.read(), usage.ru_maxrss * 1024, before


def run_torch(style: str, phase: str, work: pathlib.Path, options: argparse.Namespace) -> dict:
    command = [sys.executable, HERE / "acm_torch.py", "train", work / "model", "--phase", phase, "--style", style]
    for name in ("maps", "learners", "batch", "steps", "windows", "threads"):
        command += [f"--{name}", getattr(options, name)]
    output, peak, _ = run(command + ["--bf16"] * options.bf16, options.threads)
    child = json.loads(output)
    return {
        "images_per_second": statistics.median(child["images_per_second"]),
        "windows": child["images_per_second"],
        "peak_bytes": peak,
        "before_bytes": child["before_bytes"],
    }


def run_pace(phase: str, work: pathlib.Path, options: argparse.Namespace) -> dict:
    out = work / "adapted"
    command = [options.pace, "adapt", "--model", work / "model", "--data", f"images:{work / 'images'}", "--out", out]
    command += ["--maps", options.maps, "--learners", options.learners, "--batch", options.batch]
    command += ["--threads", options.threads, "--loader-threads", 1, "--checkpoint-seconds", 1e6]
    command += ["--calibration", 1, "--statistics-examples", options.batch]
    # What acm_torch.py has as constants: drawn choices and the paper's loss weights.
    command += ["--noise", 1, "--weight-budget", 0.1, "--weight-entropy", 0.05, "--weight-diversity", 0.05]
    for number, name in enumerate(PHASES, start=1):
        command += [f"--epochs{number}", 1 + options.windows if name == phase else 0]
    metrics = "metrics.jsonl"
    _, peak, before = run(
        command + ["--bf16"] * options.bf16, options.threads, out.with_name(out.name + ".partial") / metrics
    )
    lines = [json.loads(line) for line in (out / metrics).read_text().splitlines()]
    rates = [
        line["images_per_second"]
        for line in lines
        if line["phase"] == phase and "images_per_second" in line and line["epoch"] > 1  # the first warms up
    ]
    shutil.rmtree(out)
    if len(rates) != options.windows:
        sys.exit(f"pace reported {len(rates)} windows of phase '{phase}', not {options.windows}")
    return {
        "images_per_second": statistics.median(rates),
        "windows": rates,
        "peak_bytes": peak,
        "before_bytes": before,
    }


def measure(work: pathlib.Path, options: argparse.Namespace) -> dict:
    """Every round of every side, by phase and side."""
    rounds = {phase: {side: [] for side in [*options.styles, "pace"]} for phase in options.phases}
    for number in range(options.rounds):
        for phase, sides in rounds.items():
            for side, results in sides.items():
                print(f"round {number + 1} of {options.rounds}: {phase}, {side}", file=sys.stderr)
                one = run_pace(phase, work, options) if side == "pace" else run_torch(side, phase, work, options)
                results.append(one)
    return rounds


def middle(rounds: list[dict]) -> dict:
    medians = {}
    for name in ("images_per_second", "peak_bytes", "before_bytes"):
        known = [one[name] for one in rounds if one[name] is not None]
        medians[name] = statistics.median(known) if known else None
    return medians


def print_table(medians: dict, options: argparse.Namespace) -> None:
    def mib(count: float | None) -> str:
        return "-" if count is None else f"{count / MIB:.0f}"

    print(f"{'phase':<12}{'side':<8}{'images/s':>10}{'peak MiB':>10}{'before MiB':>12}{'growth MiB':>12}")
    for phase, sides in medians.items():
        for side, m in sides.items():
            growth = None if m["before_bytes"] is None else m["peak_bytes"] - m["before_bytes"]
            print(
                f"{phase:<12}{side:<8}{m['images_per_second']:>10.1f}{mib(m['peak_bytes']):>10}"
                f"{mib(m['before_bytes']):>12}{mib(growth):>12}"
            )
    for style in options.styles:
        for phase, sides in medians.items():
            speed = sides["pace"]["images_per_second"] / sides[style]["images_per_second"]
            memory = sides["pace"]["peak_bytes"] / sides[style]["peak_bytes"]
            print(f"{phase}: pace has {speed:.2f} times the speed of {style}, and {memory:.2f} of its peak memory")


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        sizes = [x for name in ("dim", "layers", "heads", "image_size", "patch_size")
                 for x in (f"--{name.replace('_', '-')}", getattr(options, name))]
        run([sys.executable, HERE / "acm_torch.py", "model", work / "model", *sizes], options.threads)
        write_images(work / "images", options.steps * options.batch + 1, options.image_size, CLASSES)  # 1 to calibrate
        rounds = measure(work, options)
    medians = {phase: {side: middle(r) for side, r in sides.items()} for phase, sides in rounds.items()}
    print_table(medians, options)
    if options.json:
        settings = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in vars(options).items() if k != "json"}
        results = {"options": settings, "medians": medians, "rounds": rounds}
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
