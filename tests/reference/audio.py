"""MFCC and log-mel features by the definition, in float64, and a keyword transformer in plain PyTorch."""

import json
import math
import pathlib

import numpy
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

COMMON = {
    "sampling_rate": 16000,
    "frame_step": 160,
    "window_type": "hann_periodic",
    "mel_lower_hz": 20.0,
    "mel_triangles_linear_in": "mel",
    "mel_norm": None,
    "log_floor": 1e-12,
}
CASES = {
    "mfcc": COMMON
    | {"feature_type": "mfcc", "num_samples": 16000, "frame_length": 480, "fft_size": 512, "num_mel_bins": 80,
       "mel_upper_hz": 7600.0, "num_mfcc": 40, "spectrum": "magnitude"},
    "log_mel": COMMON
    | {"feature_type": "log_mel", "num_samples": 5000, "frame_length": 400, "fft_size": 400, "num_mel_bins": 33,
       "mel_upper_hz": 8000.0, "spectrum": "power"},
}


def mel(hertz):
    return 1127 * numpy.log(1 + hertz / 700)


def features(samples: numpy.ndarray, config: dict) -> numpy.ndarray:
    length, step, size = config["frame_length"], config["frame_step"], config["fft_size"]
    frames = numpy.stack([samples[i : i + length] for i in range(0, len(samples) - length + 1, step)])
    window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(length) / length)
    angles = -2 * numpy.pi * numpy.outer(numpy.arange(length), numpy.arange(size // 2 + 1)) / size
    spectrum = numpy.abs((frames * window) @ numpy.exp(1j * angles))
    if config["spectrum"] == "power":
        spectrum = spectrum**2
    edges = numpy.linspace(mel(config["mel_lower_hz"]), mel(config["mel_upper_hz"]), config["num_mel_bins"] + 2)
    bins = mel(numpy.arange(size // 2 + 1) * config["sampling_rate"] / size)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = numpy.maximum(0, numpy.minimum(rising, falling))
    filters[0] = 0
    logs = numpy.log(numpy.maximum(spectrum @ filters, config["log_floor"]))
    if config["feature_type"] == "log_mel":
        return logs
    n, k = numpy.arange(config["num_mel_bins"])[:, None], numpy.arange(config["num_mfcc"])
    return logs @ numpy.cos(numpy.pi * k * (2 * n + 1) / (2 * len(n))) * math.sqrt(2 / len(n))


def sound(samples: int, seed: int) -> numpy.ndarray:
    """A falling tone, then noise that dies away, then nothing."""
    random = numpy.random.default_rng(seed)
    time = numpy.arange(samples) / samples
    tone = 0.4 * numpy.sin(2 * numpy.pi * samples * (0.12 * time - 0.05 * time**2))
    noise = random.normal(size=samples) * 0.2 * numpy.exp(-6 * time)
    return ((tone + noise) * (time < 0.8)).astype(numpy.float32)


class Block(torch.nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (torch.nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.output = torch.nn.Linear(dim, dim)
        self.mlp_in, self.mlp_out = torch.nn.Linear(dim, hidden), torch.nn.Linear(hidden, dim)
        self.before, self.after = torch.nn.LayerNorm(dim, eps=1e-6), torch.nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x):
        split = lambda y: y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        mixed = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1) @ v
        x = self.before(x + self.output(mixed.transpose(1, 2).flatten(2)))
        return self.after(x + self.mlp_out(torch.nn.functional.gelu(self.mlp_in(x), approximate="tanh")))


NAMES = {
    "query": "attention.attention.query", "key": "attention.attention.key", "value": "attention.attention.value",
    "output": "attention.output.dense", "before": "layernorm_before", "after": "layernorm_after",
    "mlp_in": "intermediate.dense", "mlp_out": "output.dense",
}  # fmt: skip


def keyword_transformer(folder: pathlib.Path, dim: int, heads: int, layers: int, frames: int) -> None:
    torch.manual_seed(dim)
    features_, classes = 13, 5
    config = {
        "model_type": "kwt", "architectures": ["KWTForAudioClassification"], "hidden_size": dim,
        "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 3 * dim,
        "hidden_act": "gelu_pytorch_tanh", "num_frames": frames, "num_mfcc": features_, "num_labels": classes,
    }  # fmt: skip
    blocks = [Block(dim, heads, 3 * dim) for _ in range(layers)]
    projection, classifier = torch.nn.Linear(features_, dim), torch.nn.Linear(dim, classes)
    tensors = {
        "embeddings.cls_token": 0.1 * torch.randn(1, 1, dim),
        "embeddings.position_embeddings": 0.1 * torch.randn(1, 1 + frames, dim),
    }
    for parameter in (*projection.parameters(), *classifier.parameters()):
        torch.nn.init.normal_(parameter, std=2)
    modules = {"embeddings.projection": projection, "classifier": classifier}
    for i, block in enumerate(blocks):
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        modules |= {f"encoder.layer.{i}.{NAMES[name]}": getattr(block, name) for name in NAMES}
    for name, module in modules.items():
        tensors |= {f"{name}.{key}": value.detach() for key, value in module.named_parameters()}
    inputs = 3 * torch.randn(3, frames, features_)
    with torch.no_grad():
        x = torch.cat([tensors["embeddings.cls_token"].expand(3, -1, -1), projection(inputs)], 1)
        x = x + tensors["embeddings.position_embeddings"]
        for block in blocks:
            x = block(x)
        logits = classifier(x[:, 0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors")
    save_file({"inputs.random": inputs, "logits.random": logits}, folder.with_suffix(".safetensors"))


def make(folder: pathlib.Path) -> None:
    (folder / "cases.json").write_text(json.dumps(CASES))
    arrays = {}
    for name, config in CASES.items():
        samples = sound(config["num_samples"], len(name))
        arrays[f"{name}.samples"] = samples
        arrays[f"{name}.features"] = features(samples.astype(numpy.float64), config).astype(numpy.float32)
    save_arrays(arrays, folder / "features.safetensors")
    keyword_transformer(folder / "kwt", 24, 2, 3, 11)
