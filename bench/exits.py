"""Compares ways to leave a model early: accuracy at numbers of blocks, and the area under accuracy against compute.

    python3 bench/exits.py --pace build/release/pace --data tsv:dev.tsv --dense DENSE --svg docs/results/dact-bert.svg \\
      dact=DACT-1,DACT-2,DACT-3 entropy=ENTROPY-1,ENTROPY-2,ENTROPY-3

Every name stands for models that differ in their seed. Areas are the mean accuracy over the shares of the dense model's
operations from the least that all methods can run to --most. Needs only Python.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

COLOURS = ["#0a66c2", "#c8500a", "#00805f", "#a8488a", "#8a6d00"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 340, 50, 110, 30, 44


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", metavar="NAME=FOLDER,...")
    parser.add_argument("--pace", type=pathlib.Path, required=True, help="the pace command")
    parser.add_argument("--data", required=True, help="what to measure on, as the command takes it")
    parser.add_argument("--dense", required=True, help="the model all were made from")
    parser.add_argument("--svg", type=pathlib.Path, required=True, help="where the drawing goes")
    parser.add_argument("--most", type=float, default=0.6, help="largest share of an area (default: %(default)s)")
    parser.add_argument("--budgets", type=int, default=24, help="per model, evenly spread (default: %(default)s)")
    return parser.parse_args()


def ask(options: argparse.Namespace, *arguments: str) -> dict:
    output = subprocess.run([options.pace, *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output)


def measure(options: argparse.Namespace, folder: str) -> tuple:
    """The dense accuracy and the model's curve: (share, blocks, accuracy) by rising share."""
    curve = ask(options, "info", folder)["calibration"]["curve"]
    low, high = curve[0]["budget"], curve[-1]["budget"]
    steps = options.budgets - 1
    budgets = [f"{low + (high - low) * i / steps:.4f}" for i in range(steps)] + [f"{high:.4f}"]
    results = ask(options, "eval", "--model", folder, "--dense", options.dense, "--data", options.data, "--batch", "32",
                  "--budgets", ",".join(budgets))
    points = {(point["macs_fraction"], point["blocks"], point["accuracy"]) for point in results["budgets"]}
    return results["dense"]["accuracy"], sorted(points)


def at(curve: list, x: float, axis: int) -> float:
    """Accuracy where the axis (0: share, 1: blocks) is x, between the two nearest points."""
    below = max((point for point in curve if point[axis] <= x), default=curve[0])
    above = min((point for point in curve if point[axis] >= x), default=curve[-1])
    if above[axis] == below[axis]:
        return below[2]
    return below[2] + (above[2] - below[2]) * (x - below[axis]) / (above[axis] - below[axis])


def area(curve: list, low: float, high: float) -> float:
    steps = 1000
    return statistics.fmean(at(curve, low + (high - low) * (i + 0.5) / steps, 0) for i in range(steps))


def spread(values: list) -> str:
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.2f}{deviation}"


def draw(curves: dict, dense: float, path: pathlib.Path) -> None:
    """The mean curve of each method."""
    low = min(curve[0][0] for seeds in curves.values() for curve in seeds)
    worst = min(at(curve, x / 50, 0) for seeds in curves.values() for curve in seeds for x in range(int(50 * low) + 1, 51))
    bottom = int(20 * worst) / 20

    def place(share: float, accuracy: float) -> str:
        x = LEFT + (share - low) / (1 - low) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (accuracy - bottom) / (dense + 0.01 - bottom) * (HEIGHT - BOTTOM - TOP)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<polyline points="{place(low, dense + 0.01)} {place(low, bottom)} {place(1, bottom)}" fill="none" '
             'stroke="#888"/>', f'<polyline points="{place(low, dense)} {place(1, dense)}" stroke="#999" '
             'stroke-dasharray="4"/>', f'<text x="{LEFT - 44}" y="16">accuracy</text>',
             f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">share of the dense '
             "model's MACs</text>"]
    for tick in range(int(10 * low) + 1, 11):
        x, y = place(tick / 10, bottom).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 17}" text-anchor="middle">{10 * tick} %</text>')
    for tick in range(round(100 * bottom), int(100 * dense) + 1, 2 if dense - bottom < 0.2 else 5):
        x, y = place(low, tick / 100).split(",")
        parts.append(f'<text x="{float(x) - 6}" y="{float(y) + 4}" text-anchor="end">{tick} %</text>')
    for number, (name, seeds) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        begin = max(curve[0][0] for curve in seeds)
        shares = [begin + (1 - begin) * i / 60 for i in range(61)]
        line = " ".join(place(x, statistics.fmean(at(curve, x, 0) for curve in seeds)) for x in shares)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 14}" y="{TOP + 40 + 18 * number}" fill="{colour}">{name}</text>')
    body = "\n".join(parts)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
                    f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')


def main() -> None:
    options = parse()
    options.pace = options.pace.resolve()
    curves, dense = {}, 0.0
    for method in options.methods:
        name, _, folders = method.partition("=")
        measured = [measure(options, folder) for folder in folders.split(",")]
        dense, curves[name] = measured[0][0], [curve for _, curve in measured]
    low = max(curve[0][0] for seeds in curves.values() for curve in seeds)
    print(f"dense {100 * dense:.2f} %; areas from {100 * low:.1f} % to {100 * options.most:.0f} % of the MACs")
    blocks = [5, 4, 3, 2]
    print("| | " + " | ".join(f"{n} blocks" for n in blocks) + f" | {100 * options.most:.0f} % of MACs | area |")
    print("|---" * (len(blocks) + 3) + "|")
    for name, seeds in curves.items():
        cells = [spread([at(curve, n, 1) for curve in seeds]) for n in blocks]
        cells.append(spread([at(curve, options.most, 0) for curve in seeds]))
        cells.append(spread([area(curve, low, options.most) for curve in seeds]))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    draw(curves, dense, options.svg)


if __name__ == "__main__":
    main()
