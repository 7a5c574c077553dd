"""ACM training (arXiv 2312.10193) written plainly in PyTorch: what `pace adapt` is measured against.

    acm_torch.py model FOLDER --dim 384 ...                 writes a Dinov2 classifier of random weights
    acm_torch.py train FOLDER --phase learners --style plain ...   trains one phase and prints JSON

Two styles compute the same losses:
  plain  as one writes it first: the partial sums h(z, k) are a tensor [tokens, N, dim], autograd does the rest, one
         backward pass through the losses of all modules, torch.optim.AdamW as it comes
  lean   with what experience adds: a backward pass per module in Phase 1, hidden units scaled by the gates instead of
         partial sums in Phase 3, the fused AdamW
"""

import argparse
import copy
import json
import math
import pathlib
import time

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10
GATE_HIDDEN, TEMPERATURE, FULL_SHARE = 16, 0.8, 0.5
BUDGET_LOW, BUDGET_HIGH = 0.2, 1.0
# Minimum k of a map, and where it lies in a layer.
MAPS = {
    "query": (1, "attention.attention.query"),
    "key": (1, "attention.attention.key"),
    "value": (1, "attention.attention.value"),
    "output": (1, "attention.output.dense"),
    "mlp": (0, "mlp"),
}


# --- Dinov2ForImageClassification, with the names of Hugging Face's tensors ---


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.output = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        return self.output["dense"](self.attention(x))


class Mlp(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.lambda1


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attention, self.mlp = Attention(dim, heads), Mlp(dim)
        self.layer_scale1, self.layer_scale2 = LayerScale(dim), LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale1(self.attention(self.norm1(x)))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class Embeddings(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        dim, patch = config["hidden_size"], config["patch_size"]
        patches = (config["image_size"] // patch) ** 2
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.position_embeddings = nn.Parameter(0.02 * torch.randn(1, 1 + patches, dim))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(3, dim, patch, patch)})

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], 1)
        return tokens + self.position_embeddings


class Backbone(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        dim, heads = config["hidden_size"], config["num_attention_heads"]
        layers = nn.ModuleList(Layer(dim, heads) for _ in range(config["num_hidden_layers"]))
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": layers})
        self.layernorm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.embeddings(pixels)
        for layer in self.encoder["layer"]:
            x = layer(x)
        return self.layernorm(x)


class Classifier(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.dinov2 = Backbone(config)
        self.classifier = nn.Linear(2 * config["hidden_size"], CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.dinov2(pixels)
        return self.classifier(torch.cat([x[:, 0], x[:, 1:].mean(1)], 1)).float()


# --- The adaptive module ---


class Acm(nn.Module):
    """h(z, k) = bias + sum of the first k learners, and a gate that chooses k for every token."""

    def __init__(self, kind: str, dense: nn.Module, learners: int, lean: bool):
        super().__init__()
        first = dense.fc1 if kind == "mlp" else dense
        last = dense.fc2 if kind == "mlp" else dense
        inputs, outputs = first.in_features, last.out_features
        if kind == "mlp":
            width = first.out_features // learners
        else:
            width = inputs * outputs // ((inputs + outputs) * learners)
        self.learners, self.width, self.minimum, self.lean = learners, width, MAPS[kind][0], lean
        self.macs_of_dense = first.weight.numel() + (last.weight.numel() if kind == "mlp" else 0)
        self.macs_per_learner = width * (inputs + outputs)
        self.macs_of_gate = GATE_HIDDEN * (inputs + learners + 1 - self.minimum)

        hidden = learners * width
        self.linear_in = nn.Linear(inputs, hidden)
        self.out_weight = nn.Parameter(torch.randn(learners, width, outputs) / hidden**0.5)
        self.learner_bias = nn.Parameter(torch.zeros(learners, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gate_in = nn.Linear(inputs, GATE_HIDDEN)
        self.gate_budget = nn.Parameter(torch.randn(GATE_HIDDEN))
        self.gate_out = nn.Linear(GATE_HIDDEN, learners + 1 - self.minimum)
        self.budget = 1.0  # set before a pass
        self.choice = None  # [batch, tokens, N+1], left by forward

    def gate_parameters(self) -> list[nn.Parameter]:
        return [p for name, p in self.named_parameters() if name.startswith("gate_")]

    def hidden(self, z: Tensor) -> Tensor:
        """[..., N, width]"""
        return F.gelu(self.linear_in(z)).unflatten(-1, (self.learners, self.width))

    def partial_sums(self, z: Tensor) -> Tensor:
        """h(z, k) for k = 1..N: [..., N, dim]; h(z, 0) is the bias."""
        outputs = torch.einsum("...nw,nwo->...no", self.hidden(z), self.out_weight)
        return (outputs + self.learner_bias).cumsum(-2) + self.bias

    def errors(self, z: Tensor, target: Tensor) -> Tensor:
        """|h(z, k) - target|^2 for k = 0..N: [tokens, N+1]"""
        later = (self.partial_sums(z) - target.unsqueeze(1)).square().sum(-1)
        return torch.cat([(self.bias - target).square().sum(-1, keepdim=True), later], -1)

    def logits(self, z: Tensor) -> Tensor:
        hidden = self.gate_in(z) + self.gate_budget * (2 * self.budget - 1)
        return self.gate_out(F.gelu(hidden)).float()

    def forward(self, z: Tensor) -> Tensor:
        choice = F.gumbel_softmax(self.logits(z), tau=TEMPERATURE, hard=True)
        self.choice = choice = F.pad(choice, (self.minimum, 0))
        if not self.lean:
            mixed = (choice[..., 1:, None] * self.partial_sums(z)).sum(-2)
            return mixed + choice[..., :1] * self.bias
        tail = choice[..., 1:].flip(-1).cumsum(-1).flip(-1)  # whether learner n runs
        hidden = (self.hidden(z) * tail.unsqueeze(-1)).flatten(-2)
        return hidden @ self.out_weight.flatten(0, 1) + tail @ self.learner_bias + self.bias


# --- The three phases ---


class Training:
    def __init__(self, folder: pathlib.Path, options: argparse.Namespace):
        self.config = json.loads((folder / "config.json").read_text())
        self.lean = options.style == "lean"
        self.teacher = Classifier(self.config)
        self.teacher.load_state_dict(load_file(folder / "model.safetensors"))
        self.teacher.requires_grad_(False)
        self.student = copy.deepcopy(self.teacher)
        self.acms: list[Acm] = []
        self.seen: list[tuple[Acm, Tensor, Tensor]] = []  # inputs and outputs of the dense maps
        for index in range(self.config["num_hidden_layers"]):
            for kind in (kind for kind in MAPS if kind in options.maps):
                path = f"dinov2.encoder.layer.{index}.{MAPS[kind][1]}"
                self.replace(kind, path, options.learners)
        self.count_macs()

    def replace(self, kind: str, path: str, learners: int) -> None:
        dense = self.teacher.get_submodule(path)
        acm = Acm(kind, dense, learners, self.lean)
        parent, _, name = path.rpartition(".")
        self.student.get_submodule(parent)._modules[name] = acm
        self.acms.append(acm)

        def see(_, inputs: tuple[Tensor], output: Tensor) -> None:
            if self.listening:
                self.seen.append((acm, inputs[0].flatten(0, 1), output.flatten(0, 1)))

        self.listening = False
        dense.register_forward_hook(see)

    def count_macs(self) -> None:
        """Multiply-accumulates of an image: of the dense model, of all learners, and of what always runs."""
        dim, layers, patch = (self.config[k] for k in ("hidden_size", "num_hidden_layers", "patch_size"))
        self.tokens = 1 + (self.config["image_size"] // patch) ** 2
        ends = (self.tokens - 1) * 3 * patch**2 * dim + 2 * dim * CLASSES
        attention = layers * 2 * self.tokens**2 * dim
        self.dense_macs = ends + attention + layers * self.tokens * 12 * dim**2
        self.adaptive = self.tokens * sum(acm.learners * acm.macs_per_learner for acm in self.acms)
        change = self.tokens * sum(acm.macs_of_gate - acm.macs_of_dense for acm in self.acms)
        self.fixed = self.dense_macs + change

    def draw_budget(self) -> float:
        budget = BUDGET_LOW + (BUDGET_HIGH - BUDGET_LOW) * torch.rand(()).item()
        for acm in self.acms:
            acm.budget = budget
        return budget

    def dense_maps(self, pixels: Tensor) -> list[tuple[Acm, Tensor, Tensor]]:
        self.seen, self.listening = [], True
        with torch.no_grad():
            self.teacher(pixels)
        self.listening = False
        return self.seen

    def learners_step(self, pixels: Tensor, _: Tensor) -> float:
        """Phase 1: every module learns the output of its dense map, at every k."""
        losses = []
        for acm, z, target in self.dense_maps(pixels):
            target = target.float()
            weights = torch.full([acm.learners + 1], (1 - FULL_SHARE) / (acm.learners - acm.minimum))
            weights[: acm.minimum] = 0
            weights[-1] = FULL_SHARE
            loss = (acm.errors(z, target) * weights).sum(-1).mean() / target.var(0, unbiased=False).sum()
            if self.lean:
                loss.backward()
                loss = loss.detach()
            losses.append(loss)
        total = torch.stack(losses).sum()
        if not self.lean:
            total.backward()
        return total.item() / len(losses)

    def gates_step(self, pixels: Tensor, _: Tensor) -> float:
        """Phase 2: cross-entropy of the gates against what the budget should buy."""
        budget = self.draw_budget()
        share = min(max((budget * self.dense_macs - self.fixed) / self.adaptive, 0.0), 1.0)
        losses = []
        for acm, z, target in self.dense_maps(pixels):
            with torch.no_grad():
                labels = price_labels(acm.errors(z, target.float()), share, acm.minimum)
            losses.append(F.cross_entropy(acm.logits(z), labels))
        total = torch.stack(losses).sum()
        total.backward()
        return total.item() / len(losses)

    def end_to_end_step(self, pixels: Tensor, labels: Tensor) -> float:
        """Phase 3: cross-entropy, distillation, and the budget, entropy and diversity losses."""
        budget = self.draw_budget()
        logits = self.student(pixels)
        with torch.no_grad():
            wanted = self.teacher(pixels).softmax(-1)
        loss = F.cross_entropy(logits, labels)
        loss = loss + F.kl_div(logits.log_softmax(-1), wanted, reduction="batchmean")

        entropy, macs = 0.0, torch.zeros(len(pixels))
        for acm in self.acms:
            cost = torch.arange(acm.learners + 1) * float(acm.macs_per_learner)
            macs = macs + (acm.choice * cost).sum((1, 2))
            histogram = acm.choice.mean(1)
            choices = acm.learners + 1 - acm.minimum
            entropy = entropy + (histogram * (histogram + 1e-6).log()).sum(-1).mean() / math.log(choices)
        used = macs / self.adaptive
        gaps = (used.unsqueeze(0) - used.unsqueeze(1)).abs().sum() / (len(used) * (len(used) - 1))
        over = ((macs.mean() + self.fixed) / self.dense_macs - budget).abs()
        loss = loss + 0.1 * over + 0.05 * entropy / len(self.acms) - 0.05 * gaps
        loss.backward()
        return loss.item()

    def optimizer(self, phase: str) -> torch.optim.Optimizer:
        gates = [p for acm in self.acms for p in acm.gate_parameters()]
        of_gates = {id(p) for p in gates}
        learners = [p for acm in self.acms for p in acm.parameters() if id(p) not in of_gates]
        of_acms = of_gates | {id(p) for p in learners}
        backbone = [p for p in self.student.parameters() if id(p) not in of_acms]
        groups = {
            "learners": [{"params": learners, "lr": 1e-3}],
            "gates": [{"params": gates, "lr": 1e-2}],
            "end-to-end": [{"params": learners + backbone, "lr": 1e-4}, {"params": gates, "lr": 1e-3}],
        }[phase]
        self.student.requires_grad_(False)
        for group in groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        return torch.optim.AdamW(groups, weight_decay=0.0, fused=True if self.lean else None)

    def train(self, options: argparse.Namespace) -> dict:
        step = {"learners": self.learners_step, "gates": self.gates_step, "end-to-end": self.end_to_end_step}
        objective, optimizer = step[options.phase], self.optimizer(options.phase)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        size = self.config["image_size"]
        images = torch.randn(options.steps * options.batch, 3, size, size)
        labels = torch.randint(CLASSES, [len(images)])
        rates, losses, before = [], [], resident_bytes()
        for _ in range(1 + options.windows):  # the first one warms up
            start = time.perf_counter()
            for indices in torch.randperm(len(images)).split(options.batch):
                optimizer.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                    losses.append(objective(images[indices], labels[indices]))
                if options.phase != "learners":  # the modules of Phase 1 share no gradient
                    nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
            rates.append(len(images) / (time.perf_counter() - start))
        return {"images_per_second": rates[1:], "before_bytes": before, "losses": losses}


def price_labels(errors: Tensor, share: float, minimum: int) -> Tensor:
    """argmin_k error_k + price * k / N, at the price at which the mean k / N is `share`; from 0 at k = minimum."""
    learners = errors.shape[1] - 1
    relative = errors[:, minimum:] / errors[:, minimum].mean().clamp_min(1e-12)
    cost = torch.arange(minimum, learners + 1) / learners
    low, high = -20.0, 10.0
    for _ in range(24):
        middle = (low + high) / 2
        labels = (relative + cost * math.exp(middle)).argmin(1)
        if (labels + minimum).float().mean().item() / learners > share:
            low = middle
        else:
            high = middle
    return labels


def resident_bytes() -> int:
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


def write_model(folder: pathlib.Path, options: argparse.Namespace) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"class{i}" for i in range(CLASSES)]
    config = {
        "model_type": "dinov2",
        "architectures": ["Dinov2ForImageClassification"],
        "hidden_size": options.dim,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "image_size": options.image_size,
        "patch_size": options.patch_size,
        "num_channels": 3,
        "mlp_ratio": 4,
        "layer_norm_eps": 1e-6,
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": False,
        "size": {"height": options.image_size, "width": options.image_size},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))
    save_file(Classifier(config).state_dict(), folder / "model.safetensors", {"format": "pt"})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    model = commands.add_parser("model")
    model.add_argument("folder", type=pathlib.Path)
    for name in ("dim", "layers", "heads", "image-size", "patch-size"):
        model.add_argument(f"--{name}", type=int, required=True)
    train = commands.add_parser("train")
    train.add_argument("folder", type=pathlib.Path)
    train.add_argument("--phase", choices=["learners", "gates", "end-to-end"], required=True)
    train.add_argument("--style", choices=["plain", "lean"], required=True)
    train.add_argument("--maps", type=lambda text: text.split(","), required=True)
    for name in ("learners", "batch", "steps", "windows", "threads"):
        train.add_argument(f"--{name}", type=int, required=True)
    train.add_argument("--bf16", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.manual_seed(0)
    if options.command == "model":
        write_model(options.folder, options)
        return
    torch.set_num_threads(options.threads)
    print(json.dumps(Training(options.folder, options).train(options)))


if __name__ == "__main__":
    main()
