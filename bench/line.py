"""Measures and draws the time of an adaptive MLP against the share of learners that its rows run.

    python3 bench/line.py --bench build/release/bench/pace_bench --svg docs/results/engine-line.svg

Prints, for each size and type, the straight line through eleven shares from 0 to 1 and its R^2. Needs only Python.
"""

import argparse
import collections
import json
import pathlib
import subprocess

COLOURS = {"f32": "#1f6f8b", "bf16": "#c8553d"}
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 270, 50, 40, 34


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=pathlib.Path, required=True, help="the pace_bench program")
    parser.add_argument("--svg", type=pathlib.Path, required=True, help="where the drawing goes")
    parser.add_argument("--repetitions", type=int, default=5, help="of every share, in turn (default: %(default)s)")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict:
    """{rows: {type: [(share of the learners' work, ms)]}}: medians, by rising share."""
    command = [options.bench, "--benchmark_filter=ragged_mlp_at_share", "--benchmark_format=json"]
    command += ["--benchmark_enable_random_interleaving=true", f"--benchmark_repetitions={options.repetitions}"]
    command += ["--benchmark_report_aggregates_only=true"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    points = collections.defaultdict(lambda: collections.defaultdict(list))
    for run in json.loads(output)["benchmarks"]:
        if run["aggregate_name"] != "median":
            continue
        size = dict(part.split(":") for part in run["run_name"].split("/") if ":" in part)
        kind = "bf16" if size["bits"] == "16" else "f32"
        points[int(size["rows"])][kind].append((run["of_dense_work"], run["real_time"]))
    return {rows: {kind: sorted(kinds[kind]) for kind in COLOURS} for rows, kinds in sorted(points.items(), reverse=True)}


def fit(points: list) -> tuple:
    """Offset, slope and R^2 of the least-squares line."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    variance = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / variance
    offset = mean_y - slope * mean_x
    left = sum((y - offset - slope * x) ** 2 for x, y in points)
    return offset, slope, 1 - left / sum((y - mean_y) ** 2 for _, y in points)


def panel(rows: int, kinds: dict, left: int) -> list:
    def place(x: float, y: float) -> str:
        return f"{left + LEFT + x * (WIDTH - LEFT - 20):.1f},{HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP) / 1.1:.1f}"

    parts = [f'<text x="{left + LEFT}" y="20" font-weight="bold">{rows} tokens</text>',
             f'<polyline points="{place(0, 1.1)} {place(0, 0)} {place(1, 0)}" fill="none" stroke="#888"/>',
             f'<polyline points="{place(0, 0)} {place(1, 1)}" fill="none" stroke="#bbb" stroke-dasharray="4"/>']
    for tick in (0, 0.5, 1):
        x, y = place(tick, 0).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 16}" text-anchor="middle">{tick:g}</text>')
        x, y = place(0, tick).split(",")
        parts.append(f'<text x="{float(x) - 6}" y="{float(y) + 4}" text-anchor="end">{tick:g}</text>')
    for number, (kind, points) in enumerate(kinds.items()):
        colour, whole = COLOURS[kind], points[-1][1]
        offset, slope, r2 = fit(points)
        scaled = [(x, y / whole) for x, y in points]
        print(f"{rows} rows, {kind}: {offset / whole:.3f} + {slope / whole:.3f} x of {whole:.2f} ms, R^2 = {r2:.4f}")
        parts += [f'<circle cx="{c.split(",")[0]}" cy="{c.split(",")[1]}" r="3.5" fill="{colour}"/>'
                  for c in (place(*point) for point in scaled)]
        parts.append(f'<polyline points="{place(0, offset / whole)} {place(1, (offset + slope) / whole)}" '
                     f'fill="none" stroke="{colour}"/>')
        parts.append(f'<text x="{left + LEFT + 12}" y="{TOP + 14 + 16 * number}" fill="{colour}">{kind}: '
                     f'R² = {r2:.4f}</text>')
    parts.append(f'<text x="{left + LEFT + (WIDTH - LEFT - 20) / 2}" y="{HEIGHT - 6}" text-anchor="middle">share of '
                 'learners run, mean k/N</text>')
    return parts


def main() -> None:
    options = parse()
    points = measure(options)
    parts = [part for i, (rows, kinds) in enumerate(points.items()) for part in panel(rows, kinds, i * WIDTH)]
    body = "\n".join(parts)
    options.svg.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(points)}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')


if __name__ == "__main__":
    main()
