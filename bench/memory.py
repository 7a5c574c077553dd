"""Memory that each example of a batch takes while a model runs: memory.py --pace PACE --data DATA MODEL...

`pace eval` runs every model with a small and a large batch, each in a process of its own. The
difference of their peaks, over that of the batches, has neither weights nor program in it. Peaks are medians of three runs on
one thread.
"""

import argparse
import os
import pathlib
import statistics
import subprocess


def peak(command: list[str]) -> float:
    """Peak resident memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pace", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--batches", type=int, nargs=2, default=[64, 512])
    parser.add_argument("--budget", default="1")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    small, large = options.batches
    for model in options.models:
        peaks = []
        for batch in options.batches:
            command = [options.pace, "eval", "--model", model, "--data", options.data, "--limit", str(2 * large),
                       "--batch", str(batch), "--budget", options.budget, "--threads", "1"]
            peaks.append(statistics.median(peak(command) for _ in range(3)))
        each = 1024 * (peaks[1] - peaks[0]) / (large - small)
        print(f"{pathlib.Path(model).name:30} {peaks[0]:7.0f} and {peaks[1]:7.0f} MiB, {each:6.0f} KiB an example")


if __name__ == "__main__":
    main()
