"""BERT and RoBERTa classifiers by transformers: model folders, logits for random padded tokens."""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from tokenizer import REVIEWS, reviews
from vit import randomise

LABELS = dict(id2label={i: f"class {i}" for i in range(5)},
              label2id={f"class {i}": i for i in range(5)})
ODD = dict(vocab_size=97, hidden_size=36, num_attention_heads=3, num_hidden_layers=3,
           intermediate_size=50, max_position_embeddings=40)


def save_outputs(path: pathlib.Path, model: torch.nn.Module, ids: torch.Tensor, types: torch.Tensor,
                 valid: torch.Tensor) -> None:
    """Inputs in pace's form: [batch, tokens, 2], -1 after the end of a sequence."""
    with torch.no_grad():
        output = model(input_ids=ids, token_type_ids=types, attention_mask=valid.long(),
                       output_hidden_states=True)
    inputs = torch.stack([ids, types], -1).masked_fill(~valid.unsqueeze(-1), -1)
    states = torch.stack(output.hidden_states)[:, valid]
    save_file({"inputs": inputs.contiguous(), "logits": output.logits, "states": states.contiguous()}, path)


def save_case(folder: pathlib.Path, name: str, model: torch.nn.Module, lengths: list[int],
              generator: torch.Generator) -> None:
    """A model of random weights, asked about random tokens."""
    randomise(model, generator)
    model.eval().save_pretrained(folder / name)
    config, shape = model.config, (len(lengths), max(lengths))
    valid = torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)
    first = 5 if config.vocab_size > 5 else 0  # no padding token in between
    ids = torch.randint(first, config.vocab_size, shape, generator=generator)
    types = torch.randint(0, config.type_vocab_size, shape, generator=generator)
    padding = torch.tensor(config.pad_token_id or 0)
    save_outputs(folder / f"{name}.safetensors", model, ids.where(valid, padding), types, valid)


def save_minilm(folder: pathlib.Path, generator: torch.Generator) -> None:
    """The real MiniLM below a random classifier, asked about movie reviews."""
    model = BertForSequenceClassification.from_pretrained(REVIEWS / "minilm").eval()
    randomise(model.classifier, generator)
    model.save_pretrained(folder / "minilm")
    tokens = AutoTokenizer.from_pretrained(REVIEWS / "minilm")(
        reviews()[::50], padding=True, return_tensors="pt")
    save_outputs(folder / "minilm.safetensors", model, tokens["input_ids"], tokens["token_type_ids"],
                 tokens["attention_mask"].bool())


def make(folder: pathlib.Path) -> None:
    generator = torch.Generator().manual_seed(2109)
    bert = BertConfig(**ODD, **LABELS)
    save_case(folder, "bert_odd", BertForSequenceClassification(bert), [7, 40, 1, 13], generator)
    roberta = RobertaConfig(**ODD, **LABELS, type_vocab_size=1, pad_token_id=1)
    save_case(folder, "roberta_odd", RobertaForSequenceClassification(roberta), [9, 38, 2],
              generator)
    mini = BertConfig(vocab_size=1000, hidden_size=384, num_attention_heads=12,
                      num_hidden_layers=6, intermediate_size=1536, **LABELS)
    save_case(folder, "bert_mini", BertForSequenceClassification(mini), [128, 5, 64], generator)
    save_minilm(folder, generator)
    backbone = BertModel(BertConfig(**ODD))
    randomise(backbone, generator)
    backbone.save_pretrained(folder / "bert_backbone")
