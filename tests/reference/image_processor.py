"""Pixel values by the PIL-backed image processors of transformers, from the photos in scikit-learn."""

import importlib.util
import json
import pathlib
import shutil

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# name: (processor class, its fields, channels)
PROCESSORS = {
    "vit": (ViTImageProcessorPil, {}, 3),
    "vit_bicubic_84": (ViTImageProcessorPil, {"size": 84, "resample": 3, **IMAGENET}, 3),
    "vit_wide": (ViTImageProcessorPil, {"size": {"height": 61, "width": 333}}, 3),
    "vit_raw": (ViTImageProcessorPil, {"size": 33, "do_rescale": False, "do_normalize": False}, 3),
    "vit_factor": (ViTImageProcessorPil, {"size": 50, "rescale_factor": 1 / 127.5, "image_mean": 1.0}, 3),
    "deit": (DeiTImageProcessorPil, IMAGENET, 3),
    "deit_padded": (DeiTImageProcessorPil, {"size": 40, "crop_size": {"height": 55, "width": 31}}, 3),
    "bit": (BitImageProcessorPil, {}, 3),
    "bit_98": (
        BitImageProcessorPil,
        {"size": {"shortest_edge": 111}, "crop_size": {"height": 98, "width": 97}, **IMAGENET},
        3,
    ),
    "bit_padded": (BitImageProcessorPil, {"size": {"shortest_edge": 51}, "crop_size": 84}, 3),
    "bit_unresized": (BitImageProcessorPil, {"do_resize": False, "crop_size": 300}, 3),
    "grey": (ViTImageProcessorPil, {"size": 47, "image_mean": [0.3], "image_std": [0.2]}, 1),
}


def write_pictures(folder: pathlib.Path) -> list[str]:
    """The two photos as they are, and made smaller, odd, grey and tiny."""
    photos = pathlib.Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images"
    for name in ("china.jpg", "flower.jpg"):
        shutil.copyfile(photos / name, folder / name)
    china, flower = (Image.open(folder / name) for name in ("china.jpg", "flower.jpg"))
    china.crop((100, 50, 313, 400)).save(folder / "tall.jpg", quality=90)
    flower.resize((32, 32)).save(folder / "small.png")
    china.resize((57, 23)).save(folder / "wide.png")
    flower.convert("L").resize((131, 97)).save(folder / "grey.jpg", quality=85)
    return ["china.jpg", "flower.jpg", "tall.jpg", "small.png", "wide.png", "grey.jpg"]


def make(folder: pathlib.Path) -> None:
    pictures = write_pictures(folder)
    values, cases = {}, {}
    for name, (kind, fields, channels) in PROCESSORS.items():
        processor = kind(**fields)
        cases[name] = {"config": processor.to_dict(), "fields": fields, "channels": channels,
                       "kind": kind.__name__}
        for picture in pictures:
            image = Image.open(folder / picture).convert("RGB" if channels == 3 else "L")
            pixels = processor(image, return_tensors="np", input_data_format=None)["pixel_values"][0]
            values[f"{name}/{picture}"] = np.ascontiguousarray(pixels, dtype=np.float32)
    save_file(values, folder / "values.safetensors")
    (folder / "cases.json").write_text(json.dumps({"pictures": pictures, "cases": cases}))
