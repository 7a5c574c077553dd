"""Pictures and sounds of noise: speed does not depend on what is in them."""

import pathlib
import random
import struct
import wave
import zlib


def noise_png(size: int, generator: random.Random) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + generator.randbytes(3 * size) for _ in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def write_images(folder: pathlib.Path, count: int, size: int, classes: int) -> None:
    generator = random.Random(0)
    for i in range(count):
        path = folder / f"class{i % classes}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise_png(size, generator))


def write_speech(folder: pathlib.Path, count: int, seconds: int, rate: int) -> pathlib.Path:
    """The table of the sounds and of what is said to be said in them."""
    generator = random.Random(0)
    lines = ["file\ttext\n"]
    for i in range(count):
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(generator.randbytes(2 * seconds * rate))
        lines.append(f"{i}.wav\tNOISE\n")
    table = folder / "speech.tsv"
    table.write_text("".join(lines))
    return table
