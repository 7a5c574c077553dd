#!/usr/bin/env python3
"""Checks the includes between the layers of pace/: check_layers.py [REPOSITORY]. Exit status 1 if any is wrong.

- A layer includes only itself and layers before it in LAYERS.
- Of adaptive/, models/ includes only the seams; the factory alone meets the methods.
- Includes of the project are written from its root.
- Nothing below cli prints.
"""

import pathlib
import re
import sys

LAYERS = ["base", "kernels", "io", "data", "adaptive", "models", "train", "eval", "cli"]
SEAMS = {"ledger.h", "parameters.h", "pass.h", "seams.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PRINT = re.compile(r"\bstd::(?:cout|cerr|clog|print|println)\b|(?<![\w:])(?:std::|fmt::)?(?:v?f?printf|f?puts|putchar|print)\s*\(")
# Line by line is enough: comments that span lines and strings that hold code do not occur in includes.
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//.*')


def check_include(layer: str, file: pathlib.Path, quoted: bool, target: str) -> str | None:
    """What is wrong with the include, if anything."""
    if target == "iostream" and layer != "cli":
        return "<iostream> below cli: only the command prints"
    if not quoted:
        return None
    parts = target.split("/")
    if parts[0] != "pace" or len(parts) < 3:
        return f'"{target}": write includes from the root, "pace/<layer>/<file>"'
    if parts[1] not in LAYERS:
        return f'"{target}": no such layer'
    if LAYERS.index(parts[1]) > LAYERS.index(layer):
        return f'"{target}": {layer} stands below {parts[1]}'
    if layer == "models" and parts[1] == "adaptive" and parts[2] not in SEAMS and file.stem != "factory":
        return f'"{target}": models know only the seams ({", ".join(sorted(SEAMS))}); methods meet them in models/factory'
    return None


def check_file(root: pathlib.Path, file: pathlib.Path) -> list[str]:
    layer = file.relative_to(root / "pace").parts[0]
    where = file.relative_to(root)
    if layer not in LAYERS:
        return [f"{where}: pace/{layer} is no layer; the layers are {', '.join(LAYERS)}"]
    problems = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        include = INCLUDE.match(line)
        if include:
            problem = check_include(layer, file, include[1] == '"', include[2])
        elif layer != "cli" and PRINT.search(STRING_OR_COMMENT.sub("", line)):
            problem = "prints below cli; throw an Error or tell the Reporter"
        else:
            problem = None
        if problem:
            problems.append(f"{where}:{number}: {problem}")
    return problems


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    files = sorted(file for file in (root / "pace").rglob("*") if file.suffix in {".h", ".cpp"})
    if not files:
        print(f"check_layers: no sources under {root / 'pace'}", file=sys.stderr)
        return 1
    problems = [problem for file in files for problem in check_file(root, file)]
    print("\n".join(problems + [f"check_layers: {len(files)} files, {len(problems)} violations"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
