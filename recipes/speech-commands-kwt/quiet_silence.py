"""Copies a folder of keyword clips with its silence made quieter, as keyword models are trained and tested: the clips called
`_silence_` in the test set of Speech Commands are loud noise.

    pip install soundfile
    python3 quiet_silence.py CLIPS OUT 0.1     # 0: silence of zeros
"""

import pathlib
import shutil
import sys

import soundfile

source, target, scale = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
for path in sorted(source.rglob("*.flac")):
    out = target / path.relative_to(source)
    out.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "_silence_":
        samples, rate = soundfile.read(path)
        soundfile.write(out, samples * scale, rate, subtype="PCM_16")
    else:
        shutil.copy(path, out)
