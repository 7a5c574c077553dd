"""Weights as the safetensors package writes them, and images with the pixels PIL decodes from them."""

import json
import pathlib
import struct
import zlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

DTYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "i16": torch.int16,
    "i8": torch.int8,
    "u8": torch.uint8,
    "bool": torch.bool,
}


def ramp(dtype: torch.dtype) -> torch.Tensor:
    """[3, 5] with the value i * 7 % 11 at place i (odd sizes, so that offsets are of every parity)."""
    return (torch.arange(15) * 7 % 11).reshape(3, 5).to(dtype)


def write_weights(folder: pathlib.Path) -> None:
    tensors = {name: ramp(dtype) for name, dtype in DTYPES.items()}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    save_file(tensors, folder / "dtypes.safetensors", {"made_by": "safetensors", "größe": "ünï"})

    sharded = folder / "sharded"
    sharded.mkdir(exist_ok=True)
    shards = {"model-00001-of-00002.safetensors": ["f32", "i64"], "model-00002-of-00002.safetensors": ["bf16"]}
    weight_map = {}
    for shard, names in shards.items():
        save_file({name: tensors[name] for name in names}, sharded / shard, {"format": "pt"})
        weight_map.update({name: shard for name in names})
    index = {"metadata": {"total_size": 210}, "weight_map": weight_map}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    (sharded / "config.json").write_text(json.dumps({"model_type": "none"}))


def scene(height: int, width: int) -> np.ndarray:
    """Gradients with noise, so that every DCT coefficient has something to say."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(height * 1000 + width).integers(0, 60, (height, width, 3))
    base = np.stack([x * 190 // width, y * 190 // height, (x + y) * 190 // (width + height)], -1)
    return (base + noise).astype(np.uint8)


def png16(pixels: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which PIL reads but does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_jpegs(folder: pathlib.Path) -> None:
    odd = Image.fromarray(scene(37, 53))
    for name, subsampling in {"444": 0, "422": 1, "420": 2}.items():
        odd.save(folder / f"odd_{name}.jpg", quality=90, subsampling=subsampling)
    odd.save(folder / "odd_low.jpg", quality=30)
    odd.save(folder / "progressive.jpg", quality=85, progressive=True)
    odd.save(folder / "restarts.jpg", quality=85, restart_marker_blocks=2)
    odd.convert("L").save(folder / "grey.jpg", quality=90)
    Image.fromarray(scene(1, 1)).save(folder / "one.jpg")
    Image.fromarray(scene(224, 224)).save(folder / "even.jpg")


def write_pngs(folder: pathlib.Path) -> None:
    rgb = Image.fromarray(scene(19, 31))
    grey = rgb.convert("L")
    rgb.save(folder / "rgb.png")
    grey.save(folder / "grey.png")
    grey.convert("1").save(folder / "bits.png")
    alpha = Image.fromarray(scene(19, 31)[:, ::-1, 0].copy())
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    rgba.save(folder / "rgba.png")
    Image.merge("LA", (grey, alpha)).save(folder / "grey_alpha.png")
    rgb.quantize(200).save(folder / "palette.png")
    rgb.quantize(7).save(folder / "palette_small.png", transparency=3)
    wide = scene(19, 31).astype(np.uint16) * 257 + 1
    Image.fromarray(wide[..., 0].copy()).save(folder / "grey16.png")
    (folder / "rgb16.png").write_bytes(png16(wide))


def decoded(path: pathlib.Path) -> torch.Tensor:
    with Image.open(path) as image:
        if image.mode == "I;16":
            # PIL would clip at 255 instead of keeping the high byte.
            pixels = (np.asarray(image) >> 8).astype(np.uint8)
        else:
            pixels = np.asarray(image.convert("L" if image.mode in ("L", "LA", "1") else "RGB"))
    return torch.from_numpy(np.atleast_3d(pixels).copy())


def make(folder: pathlib.Path) -> None:
    write_weights(folder)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    write_jpegs(images)
    write_pngs(images)
    Image.fromarray(scene(9, 9)).convert("CMYK").save(folder / "cmyk.jpg")
    save_file({path.name: decoded(path) for path in sorted(images.iterdir())}, folder / "pixels.safetensors")
    greys = {path.name: Image.open(path).convert("L") for path in sorted(images.glob("odd_*.jpg"))}
    save_file(
        {name: torch.from_numpy(np.asarray(grey)[..., None].copy()) for name, grey in greys.items()},
        folder / "greys.safetensors",
    )
