"""Vision transformers by transformers: model folders, and logits for random pixels."""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

ODD = dict(hidden_size=40, num_attention_heads=5, num_hidden_layers=3, patch_size=7, num_channels=1,
           image_size=28)


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Weights large enough that attention is far from uniform and logits are of order one."""
    for name, tensor in model.named_parameters():
        values = torch.randn(tensor.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            values = 1.0 + 0.2 * values
        elif "lambda" in name:
            values = 0.5 + 0.2 * values
        elif "token" in name or "position" in name:
            values = 0.5 * values
        elif tensor.dim() > 1:
            values *= 1.2 / tensor[0].numel() ** 0.5
        else:
            values *= 0.1
        tensor.data.copy_(values)


def save_case(folder: pathlib.Path, name: str, model: torch.nn.Module, sizes: list[tuple[int, int]],
              batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> None:
    randomise(model, generator)
    model.to(dtype).eval().save_pretrained(folder / name)
    model.float()
    tensors = {}
    for height, width in sizes:
        pixels = torch.randn(batch, model.config.num_channels, height, width, generator=generator)
        options = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
        with torch.no_grad():
            logits = model(pixels, **options).logits
        tensors[f"inputs.{height}x{width}"] = pixels
        tensors[f"logits.{height}x{width}"] = logits
    save_file(tensors, folder / f"{name}.safetensors")


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(20231210)
    labels = dict(id2label={i: f"class {i}" for i in range(11)},
                  label2id={f"class {i}": i for i in range(11)})
    other_sizes = [(28, 28), (35, 21), (7, 14)]
    vit = ViTConfig(**ODD, **labels, intermediate_size=52)
    save_case(folder, "vit_odd", ViTForImageClassification(vit), other_sizes, 3, generator)
    no_bias = ViTConfig(**ODD, **labels, intermediate_size=52, qkv_bias=False)
    save_case(folder, "vit_no_bias", ViTForImageClassification(no_bias), [(28, 28)], 2, generator)
    dinov2 = Dinov2Config(**ODD, **labels, mlp_ratio=3)
    save_case(folder, "dinov2_odd", Dinov2ForImageClassification(dinov2), other_sizes, 3, generator)
    small = Dinov2Config(hidden_size=384, num_attention_heads=6, num_hidden_layers=12,
                         patch_size=14, image_size=98, **labels)
    save_case(folder, "dinov2_small", Dinov2ForImageClassification(small),
              [(98, 98), (112, 84)], 2, generator)
    # Half precision on disk, and as large as the checkpoints people have.
    save_case(folder, "vit_base", ViTForImageClassification(ViTConfig(**labels)), [(224, 224)], 1,
              generator, torch.bfloat16)
    for name, backbone in [("vit_backbone", ViTModel(ViTConfig(**ODD, intermediate_size=52))),
                           ("dinov2_backbone", Dinov2Model(Dinov2Config(**ODD)))]:
        randomise(backbone, generator)
        backbone.save_pretrained(folder / name)
