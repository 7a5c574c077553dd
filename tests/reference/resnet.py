"""Residual networks by a plain definition in PyTorch: model folders, and logits for random pixels."""

import json
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class ShortcutA(nn.Module):
    """Every stride-th position, with zero channels before and behind."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.zeros, self.stride = (out - channels) // 2, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.zeros, self.zeros))


class Unit(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, bottleneck: bool, cifar: bool) -> None:
        super().__init__()
        if bottleneck:
            sizes = [(channels, out // 4, 1, 1), (out // 4, out // 4, 3, stride), (out // 4, out, 1, 1)]
        else:
            sizes = [(channels, out, 3, stride), (out, out, 3, 1)]
        self.depth = len(sizes)
        for number, (before, after, side, step) in enumerate(sizes, 1):
            setattr(self, f"conv{number}", nn.Conv2d(before, after, side, step, side // 2, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(after))
        self.downsample = nn.Identity()
        if stride > 1 or channels != out:
            self.downsample = ShortcutA(channels, out, stride) if cifar else nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for number in range(1, self.depth + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.depth:
                y = F.relu(y)
        return F.relu(y + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        self.cifar = config["model_type"] == "resnet-cifar"
        stem, bottleneck = config["embedding_size"], config["layer_type"] == "bottleneck"
        side, step = (3, 1) if self.cifar else (7, 2)
        self.conv1 = nn.Conv2d(config["num_channels"], stem, side, step, side // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        channels, self.stages = stem, len(config["depths"])
        for stage in range(self.stages):
            width, units = config["hidden_sizes"][stage], []
            for unit in range(config["depths"][stage]):
                units.append(Unit(channels, width, config["stage_strides"][stage] if unit == 0 else 1, bottleneck,
                                  self.cifar))
                channels = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*units))
        setattr(self, "linear" if self.cifar else "fc", nn.Linear(channels, config["num_labels"]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.cifar:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return (self.linear if self.cifar else self.fc)(x.mean((2, 3)))


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        values = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            values = 0.5 + values.abs()
        elif tensor.dim() > 1:
            values *= 1.4 / tensor[0].numel() ** 0.5
        elif "bn" in name and name.endswith("weight") or name.endswith("downsample.1.weight"):
            values = 0.7 + 0.1 * values
        else:
            values *= 0.2
        tensor.copy_(values)


def save_case(folder: pathlib.Path, name: str, config: dict, sizes: list[tuple[int, int]],
              generator: torch.Generator) -> None:
    config = dict(config, num_labels=10)
    model = ResNet(config).eval()
    randomise(model, generator)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / name / "model.safetensors")
    tensors = {}
    for height, width in sizes:
        pixels = torch.randn(3, config["num_channels"], height, width, generator=generator)
        with torch.no_grad():
            logits = model(pixels)
        tensors[f"inputs.{height}x{width}"] = pixels
        tensors[f"logits.{height}x{width}"] = logits
    save_file(tensors, folder / f"{name}.safetensors")


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(171200386)
    cifar = dict(model_type="resnet-cifar", layer_type="basic", num_channels=3, embedding_size=16)
    save_case(folder, "cifar32", dict(cifar, depths=[5, 5, 5], hidden_sizes=[16, 32, 64], stage_strides=[1, 2, 2]),
              [(32, 32), (29, 17), (4, 5)], generator)
    save_case(folder, "cifar_odd", dict(cifar, embedding_size=6, depths=[1, 2], hidden_sizes=[6, 20],
                                        stage_strides=[1, 2], num_channels=1), [(9, 9), (2, 7)], generator)
    imagenet = dict(model_type="resnet-torchvision", num_channels=3, embedding_size=64, stage_strides=[1, 2, 2, 2])
    save_case(folder, "resnet50", dict(imagenet, layer_type="bottleneck", depths=[3, 4, 6, 3],
                                       hidden_sizes=[256, 512, 1024, 2048]), [(64, 64), (97, 75)], generator)
    save_case(folder, "resnet18", dict(imagenet, layer_type="basic", depths=[2, 2, 2, 2],
                                       hidden_sizes=[64, 128, 256, 512]), [(64, 64)], generator)
