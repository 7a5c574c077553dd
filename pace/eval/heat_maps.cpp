#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pace/base/error.h"
#include "pace/data/text_loader.h"
#include "pace/eval/maps.h"

namespace pace {
namespace {

constexpr int64_t kBatch = 32;

/// Share of the adaptive work at full width that each patch used: float [batch, rows, columns].
Tensor share_of_patches(const LoadedModel& model, const ImageProcessor& processor,
                        const Ledger& ledger) {
  const int64_t patch = integer_field(model.model->config(), "patch_size", "the model's config");
  const int64_t rows = processor.height() / patch, columns = processor.width() / patch;
  const Tensor share = share_of_work(ledger);
  const int64_t first = share.size(1) - rows * columns;  // after the class token, if there is one
  if (first < 0) {
    fail("heat maps need a token for each of {} x {} patches; the model has only {} tokens", rows,
         columns, share.size(1));
  }
  return share.slice(1, first).unflatten(1, {rows, columns});
}

/// Share of the residual units that each position of the first stage's map ran, or that were run
/// where it lies in later ones: float [batch, lines, columns].
Tensor share_of_units(const Ledger& ledger) {
  Tensor units;
  int64_t most = 0;
  for (const Ponder& stage : ledger.ponders()) {
    const kernels::Grid& grid = stage.grid;
    const Tensor maps =
        stage.units.to(at::kFloat).view({grid.pictures, 1, grid.lines, grid.columns});
    units = units.defined() ? units + at::upsample_nearest2d(maps, {units.size(2), units.size(3)})
                            : maps;
    most += stage.most;
  }
  return (units / most).squeeze(1);
}

/// Runs one batch of pictures and appends a map of each.
void run_batch(const LoadedModel& model, const ImageProcessor& processor, double budget,
               std::vector<HeatMap>& batch, std::vector<HeatMap>& maps) {
  if (batch.empty()) return;
  std::vector<Tensor> pixels;
  for (const HeatMap& map : batch) pixels.push_back(processor.normalize(map.image));
  const Tensor inputs = at::stack(pixels);
  Pass pass = model.pass_at(budget);
  const Tensor predicted = model.model->forward(inputs, pass).argmax(-1);
  const Tensor share =
      model.halting ? share_of_units(pass.ledger) : share_of_patches(model, processor, pass.ledger);
  const Tensor fraction = pass.ledger.macs() / model.model->dense_macs(inputs);
  const std::vector<std::string> labels = model.model->labels();
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    batch[i].predicted = labels.at(predicted[row].item<int64_t>());
    batch[i].macs_fraction = fraction[row].item<double>();
    batch[i].share = share[row].clone();
    maps.push_back(std::move(batch[i]));
  }
  batch.clear();
}

/// Tokens and their steps, put together where only several make whole characters; U+FFFD for a
/// character that was cut off.
std::vector<TextMap::Piece> pieces_of(const Tokenizer& tokenizer, const Encoding& encoding,
                                      const Tensor& steps) {
  std::vector<TextMap::Piece> pieces;
  TextMap::Piece piece;
  int64_t tokens = 0;
  for (int64_t i = 0; i < std::ssize(encoding.ids); ++i) {
    piece.text += tokenizer.token(encoding.ids[static_cast<size_t>(i)]);
    piece.steps += steps[i].item<double>();
    ++tokens;
    if (!is_utf8(piece.text)) continue;
    piece.steps /= static_cast<double>(tokens);
    pieces.push_back(std::exchange(piece, {}));
    tokens = 0;
  }
  if (tokens > 0) pieces.push_back({"\xEF\xBF\xBD", piece.steps / static_cast<double>(tokens)});
  return pieces;
}

/// What each token is in a text, as far as it is whole characters.
std::vector<std::string> words_of(const Tokenizer& tokenizer, const Encoding& encoding) {
  std::vector<std::string> words;
  for (const int64_t id : encoding.ids) {
    const std::string word = tokenizer.token(id);
    words.push_back(is_utf8(word) ? word : "\xEF\xBF\xBD");
  }
  return words;
}

TextMap::Routed routed(std::string part, const Tensor& ran) {
  const Tensor local = ran.to(at::kCPU).contiguous();
  const bool* begin = local.const_data_ptr<bool>();
  return {std::move(part), std::vector<bool>(begin, begin + local.numel())};
}

bool may_skip_mlps(const LoadedModel& model) { return model.experts && model.experts->no_op > 0.0; }

/// Which of all tokens ran the MLP of a block: bool [rows].
Tensor ran_mlp(int64_t block, const Ledger& ledger) {
  const auto& routings = ledger.routings();
  const auto& dispatches = ledger.dispatches();
  const auto routing = std::ranges::find(routings, block, &Routing::block);
  const auto dispatch = std::ranges::find(dispatches, block, &Dispatch::block);
  // A block that is routed and that no token ran has none.
  if (dispatch == dispatches.end()) return at::zeros_like(routing->chosen);
  const Tensor ran = dispatch->choice.lt(dispatch->experts);
  if (routing == routings.end()) return ran;
  return at::zeros_like(routing->chosen).masked_scatter(routing->chosen, ran);
}

std::vector<TextMap::Routed> routed_of(const LoadedModel& model, const Ledger& ledger) {
  std::vector<TextMap::Routed> parts;
  for (const Routing& routing : ledger.routings()) {
    parts.push_back(routed(fmt::format("block {}", routing.block), routing.chosen));
  }
  if (!may_skip_mlps(model)) return parts;
  for (const int64_t block : model.experts->blocks) {
    parts.push_back(routed(fmt::format("MLP {}", block), ran_mlp(block, ledger)));
  }
  return parts;
}

/// What the tokens of a pass ran.
Ponder what_ran(const LoadedModel& model, const Ledger& ledger) {
  if (!ledger.ponders().empty()) return ledger.ponders().front();
  Ponder steps{.stage = "mlps",
               .units = at::zeros({ledger.sequences().rows()}, at::kLong),
               .grid = {},
               .most = std::ssize(model.experts->blocks),
               .least = 0};
  for (const int64_t block : model.experts->blocks) {
    steps.units = ran_mlp(block, ledger) + steps.units;
  }
  return steps;
}

}  // namespace

bool has_text_maps(const LoadedModel& model) {
  const bool steps = model.halting && model.reads_text();
  return steps || model.mod || may_skip_mlps(model);
}

std::vector<TextMap> text_maps(const LoadedModel& model, const Tokenizer& tokenizer,
                               const Dataset& dataset, double budget, int64_t count,
                               uint64_t seed) {
  const at::NoGradGuard no_grad;
  if (!has_text_maps(model)) {
    fail("maps of texts need time steps that halt, routed blocks, or experts with a no-op");
  }
  const int64_t most = text_limits(model.model->config()).tokens;
  std::vector<TextMap> maps;
  for (const int64_t index : sample(dataset, count, seed)) {
    const Encoding encoding = encode(dataset, index, tokenizer, most);
    Pass pass = model.pass_at(budget);
    model.model->forward(pad_tokens({encoding}), pass);
    const Ponder steps = what_ran(model, pass.ledger);
    maps.push_back({dataset.name(index),
                    model.halting ? "steps"
                    : model.mod   ? "blocks"
                                  : "MLPs",
                    pieces_of(tokenizer, encoding, steps.units),
                    steps.units.to(at::kDouble).mean().item<double>(),
                    steps.least,
                    steps.most,
                    {},
                    routed_of(model, pass.ledger)});
    if (!model.halting) maps.back().tokens = words_of(tokenizer, encoding);
  }
  return maps;
}

std::vector<HeatMap> heat_maps(const LoadedModel& model, const ImageProcessor& processor,
                               const Dataset& dataset, double budget, int64_t count,
                               uint64_t seed) {
  const at::NoGradGuard no_grad;
  std::vector<HeatMap> batch, maps;
  for (const int64_t index : sample(dataset, candidates(count), seed)) {
    HeatMap map;
    try {
      map.image = processor.fit(dataset.image(index));
    } catch (const Error&) {
      continue;  // the evaluation has named it
    }
    map.name = dataset.name(index);
    map.actual = dataset.classes().at(dataset.label(index));
    batch.push_back(std::move(map));
    if (std::ssize(batch) == kBatch) run_batch(model, processor, budget, batch, maps);
  }
  run_batch(model, processor, budget, batch, maps);

  return spread(std::move(maps), count);
}

}  // namespace pace
