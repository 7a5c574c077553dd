"""Writes the reference fixtures of every module beside this one: make.py FOLDER."""

import importlib
import pathlib
import sys


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    for module in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if module.name == "make.py":
            continue
        topic = folder / module.stem
        topic.mkdir(parents=True, exist_ok=True)
        importlib.import_module(module.stem).make(topic)


if __name__ == "__main__":
    main()
