"""Wav2Vec2 speech recognisers by transformers: model folders, logits and states for random sounds,
what its feature extractor makes of sounds, and what its tokeniser reads from frames."""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
)

from vit import randomise

TINY = dict(vocab_size=13, hidden_size=32, num_attention_heads=4, num_hidden_layers=4, intermediate_size=56,
            conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
LARGE = dict(feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True)
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHS", "Ä", "'"]


def sound(samples: int, generator: torch.Generator) -> torch.Tensor:
    """A tone with noise that swells and dies away, around a level that is not zero."""
    time = torch.arange(samples) / 16000
    swell = torch.sin(torch.linspace(0, 3, samples))
    tone = torch.sin(2 * torch.pi * (200 + 300 * time) * time)
    return swell * (tone + 0.3 * torch.randn(samples, generator=generator)) + 0.05


def save_case(folder: pathlib.Path, name: str, config: Wav2Vec2Config, lengths: list[int],
              generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Wav2Vec2ForCTC:
    """Sounds are asked about one at a time: transformers' group norm runs over padding."""
    config._attn_implementation = "eager"
    model = Wav2Vec2ForCTC(config)
    randomise(model, generator)
    weight = model.wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight
    weight.original0.data.copy_(1 + torch.rand(weight.original0.shape, generator=generator))
    model.to(dtype).eval().save_pretrained(folder / name)
    model.float()
    states = []
    layers = model.wav2vec2.encoder.layers
    layers[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    for layer in layers:
        layer.register_forward_hook(lambda _, inputs, output: states.append(output))
    tensors = {}
    for length in lengths:
        states.clear()
        samples = sound(length, generator).unsqueeze(0)
        with torch.no_grad():
            tensors[f"logits.{length}"] = model(samples).logits
        tensors[f"inputs.{length}"] = samples
        tensors[f"states.{length}"] = torch.cat(states)
    save_file(tensors, folder / f"{name}.safetensors")
    return model


def save_older(folder: pathlib.Path, model: Wav2Vec2ForCTC) -> None:
    """The names of PyTorch before 2.0, and no prefix."""
    folder.mkdir(exist_ok=True)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = {}
    for name, tensor in model.state_dict().items():
        for now, before in names.items():
            name = name.replace(now, before)
        tensors[name.removeprefix("wav2vec2.")] = tensor.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(folder)


def save_tokenizer(folder: pathlib.Path, generator: torch.Generator) -> None:
    """Frames that repeat, with what is read from them; texts with their tokens."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}))
    cases = {}
    for name, options in {"upper": {}, "lower": {"do_lower_case": True}}.items():
        tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), **options)
        tokenizer.save_pretrained(folder / name)
        frames = [torch.randint(0, len(VOCABULARY), (length,), generator=generator)
                  .repeat_interleave(torch.randint(1, 4, (length,), generator=generator)).tolist()
                  for length in (1, 5, 40, 200)]
        frames += [[4, 4, 5, 4], [0, 0], [5, 0, 5, 5, 4, 4, 0, 4, 6]]
        texts = ["HE IS ON A TEA SHIP'S", "TÄT", "A"]
        cases[name] = {"frames": frames, "texts": [tokenizer.decode(ids) for ids in frames],
                       "encoded": {text: tokenizer(text)["input_ids"] for text in texts}}
    (folder / "cases.json").write_text(json.dumps(cases))


def save_features(folder: pathlib.Path, generator: torch.Generator) -> None:
    tensors = {}
    for name, normalize in {"normed": True, "raw": False}.items():
        extractor = Wav2Vec2FeatureExtractor(do_normalize=normalize)
        extractor.save_pretrained(folder / name)
        for length in (400, 17123):
            samples = 0.2 * sound(length, generator)
            tensors[f"{name}.samples.{length}"] = samples
            values = extractor(samples.numpy(), sampling_rate=16000, return_tensors="pt").input_values[0]
            tensors[f"{name}.values.{length}"] = values
    save_file(tensors, folder / "features.safetensors")


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(2006)
    lengths = [400, 719, 720, 4000, 9999]
    group = save_case(folder, "group", Wav2Vec2Config(**TINY), lengths, generator)
    save_older(folder / "group_older", group)
    pretrained = Wav2Vec2ForPreTraining(Wav2Vec2Config(**TINY))
    randomise(pretrained, generator)
    pretrained.save_pretrained(folder / "pretrained")
    save_case(folder, "layer", Wav2Vec2Config(**TINY, **LARGE), lengths, generator)
    save_case(folder, "odd", Wav2Vec2Config(**TINY | dict(num_conv_pos_embeddings=5, conv_dim=(7, 24), conv_kernel=(10, 3),
                                                          conv_stride=(5, 4), conv_bias=True)), [22, 300], generator)
    # In bfloat16, which it is read from: half the size.
    base = Wav2Vec2Config(num_hidden_layers=1)
    save_case(folder, "base", base, [16000], generator, torch.bfloat16)
    save_tokenizer(folder / "tokenizer", generator)
    save_features(folder, generator)
