"""torch.nn.LSTM between an embedding and a linear map: model folders, and logits for random tokens."""

import json
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn


class Lstm(nn.Module):
    """A language model, whose answers are those of all tokens, or a classifier by the last one's state."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.language_model = config["model_type"] == "lstm-lm"
        hidden = config["hidden_size"]
        self.encoder = nn.Embedding(config["vocab_size"], config["embedding_size"])
        self.rnn = nn.LSTM(config["embedding_size"], hidden, config["num_hidden_layers"], batch_first=True)
        if self.language_model:
            self.decoder = nn.Linear(hidden, config["vocab_size"])
        else:
            self.classifier = nn.Linear(hidden, config["num_labels"])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(self.encoder(tokens))
        return self.decoder(states) if self.language_model else self.classifier(states[-1])


def save_case(folder: pathlib.Path, name: str, config: dict, batches: list[list[int]],
              generator: torch.Generator) -> None:
    model = Lstm(config).eval()
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 2 / tensor.shape[-1] ** 0.5)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / name / "model.safetensors")
    tensors = {}
    for lengths in batches:
        inputs = torch.full((len(lengths), max(lengths), 2), -1)
        logits = []
        for row, length in enumerate(lengths):
            tokens = torch.randint(config["vocab_size"], (length,), generator=generator)
            inputs[row, :length] = torch.stack([tokens, torch.zeros_like(tokens)], 1)
            with torch.no_grad():
                logits.append(model(tokens))
        key = "-".join(map(str, lengths))
        tensors[f"inputs.{key}"] = inputs
        tensors[f"logits.{key}"] = (nn.utils.rnn.pad_sequence(logits, batch_first=True)
                                    if model.language_model else torch.stack(logits))
    save_file(tensors, folder / f"{name}.safetensors")


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(160308983)
    batches = [[7], [1, 1, 1], [3, 12, 1, 12, 5]]
    save_case(folder, "language_model", dict(model_type="lstm-lm", vocab_size=37, embedding_size=13, hidden_size=29,
                                             num_hidden_layers=3), batches, generator)
    save_case(folder, "one_layer", dict(model_type="lstm-lm", vocab_size=37, embedding_size=32, hidden_size=64,
                                        num_hidden_layers=1), batches, generator)
    save_case(folder, "classifier", dict(model_type="lstm", vocab_size=37, embedding_size=13, hidden_size=16,
                                         num_hidden_layers=2, num_labels=5), batches, generator)
