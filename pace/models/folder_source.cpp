#include "pace/models/folder_source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "pace/base/error.h"

namespace pace {

namespace {

/// What PyTorch called the factors of a normalised weight before 2.0, if `name` is one of them.
std::string older_name(const std::string& name) {
  for (const auto& [now, before] : {std::pair(".parametrizations.weight.original0", ".weight_g"),
                                    std::pair(".parametrizations.weight.original1", ".weight_v")}) {
    if (name.ends_with(now)) return name.substr(0, name.size() - std::strlen(now)) + before;
  }
  return name;
}

/// Buffers that older versions of transformers wrote, and a last layer that is the embeddings.
bool is_unused_of_decoder(std::string_view bare) {
  return bare.ends_with(".attn.bias") || bare.ends_with(".attn.masked_bias") ||
         bare.ends_with(".rotary_emb.inv_freq") || bare == "lm_head.weight";
}

/// What only the pretraining of a speech model needs.
bool is_unused_of_speech(std::string_view bare) {
  return bare == "masked_spec_embed" || bare.starts_with("quantizer.") ||
         bare.starts_with("project_q.") || bare.starts_with("project_hid.");
}

}  // namespace

std::optional<at::Tensor> FolderSource::find(const std::string& name) {
  for (const std::string& whole : {name, older_name(name)}) {
    std::string stored = whole;
    if (!files_.contains(stored) && whole.starts_with(prefix_)) {
      stored = whole.substr(prefix_.size());
    }
    if (!files_.contains(stored)) continue;
    asked_.insert(stored);
    return files_.tensor(stored);
  }
  return std::nullopt;
}

void FolderSource::check_leftovers(const std::string& where, const Expected& expected) const {
  std::vector<std::string> unknown;
  for (const std::string& name : files_.names()) {
    if (asked_.contains(name)) continue;
    std::string_view bare = name;
    if (bare.starts_with(prefix_)) bare.remove_prefix(prefix_.size());
    if (!expected(bare)) unknown.push_back(name);
  }
  if (unknown.empty()) return;
  const size_t shown = std::min<size_t>(unknown.size(), 3);
  const auto end = unknown.begin() + static_cast<std::ptrdiff_t>(shown);
  fail(
      "{}: {} tensor(s) that the model of this config does not have, such as '{}'; config and "
      "weights contradict each other",
      where, unknown.size(), fmt::join(unknown.begin(), end, "', '"));
}

bool is_unused(std::string_view bare) {
  return bare.starts_with("pooler.") || bare == "embeddings.position_ids" ||
         bare.ends_with(".num_batches_tracked") || is_unused_of_decoder(bare) ||
         is_unused_of_speech(bare);
}

bool is_cut_layer(std::string_view bare, int64_t layers) {
  for (const std::string_view layer : {"encoder.layer.", "encoder.layers."}) {
    if (!bare.starts_with(layer)) continue;
    bare.remove_prefix(layer.size());
    int64_t index = -1;
    std::from_chars(bare.data(), bare.data() + bare.size(), index);
    return index >= layers;
  }
  return false;
}

}  // namespace pace
