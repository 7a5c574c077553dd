#include <algorithm>
#include <optional>
#include <queue>

#include "pace/base/error.h"
#include "pace/data/tokenizer_model.h"
#include "pace/data/tokenizer_unicode.h"

namespace pace {
namespace {

struct Merge {
  uint32_t rank;  ///< lower ones first
  uint32_t id;    ///< of the merged token
};
/// Merges by the ids of the two tokens, the first in the upper half.
using Merges = std::unordered_map<uint64_t, Merge>;

uint64_t pair_of(uint64_t first, uint64_t second) { return first << 32 | second; }

struct BpeOptions {
  std::optional<uint32_t> unknown;  ///< without it, unknown characters are left out
  bool fuse_unknown = false;        ///< one unknown token for a run of unknown characters
  bool ignore_merges = false;       ///< a word that is in the vocabulary is taken as it is
  /// Tokens of the bytes, with which a character begins that is in no token; or none.
  std::vector<uint32_t> bytes = {};
};

/// The tokens of a word while they are merged: a list in an array, so that the next is found at
/// once.
class MergedWord {
 public:
  explicit MergedWord(const Merges& merges) : merges_(merges) {}

  void add(uint32_t id) {
    const auto here = static_cast<int>(parts_.size());
    if (here > 0) parts_.back().next = here;
    parts_.push_back({id, here - 1, -1, true});
  }

  /// Merges the pair of lowest rank, of equal ones the leftmost, until no pair is left to merge.
  void merge() {
    for (int i = 0; i + 1 < static_cast<int>(parts_.size()); ++i) consider(i);
    while (!candidates_.empty()) {
      const Candidate top = candidates_.top();
      candidates_.pop();
      if (is_current(top)) join(top);
    }
  }

  void append_to(std::vector<int64_t>& ids) const {
    for (const Part& part : parts_) {
      if (part.alive) ids.push_back(part.id);
    }
  }

 private:
  struct Part {
    uint32_t id;
    int previous, next;  ///< -1 at the ends
    bool alive;          ///< false once it is merged into the one before it
  };
  struct Candidate {
    uint32_t rank;
    int at;       ///< the first part of the pair
    uint32_t id;  ///< of the merged token
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  const Merge* find(int at) const {
    const int next = parts_[at].next;
    if (next < 0) return nullptr;
    const auto found = merges_.find(pair_of(parts_[at].id, parts_[next].id));
    return found == merges_.end() ? nullptr : &found->second;
  }

  void consider(int at) {
    if (const Merge* merge = find(at)) candidates_.push({merge->rank, at, merge->id});
  }

  /// A neighbour may have been merged since. As in the `tokenizers` package, another pair at the
  /// same place that gives the same token will do.
  bool is_current(const Candidate& candidate) const {
    if (!parts_[candidate.at].alive) return false;
    const Merge* merge = find(candidate.at);
    return merge && merge->id == candidate.id;
  }

  void join(const Candidate& candidate) {
    Part& left = parts_[candidate.at];
    Part& right = parts_[left.next];
    left.id = candidate.id;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) parts_[left.next].previous = candidate.at;
    if (left.previous >= 0) consider(left.previous);
    consider(candidate.at);
  }

  const Merges& merges_;
  std::vector<Part> parts_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates_;
};

/// Byte pair encoding (Sennrich et al. 2016) of words whose characters stand for bytes, or are just
/// characters.
class Bpe : public SubwordModel {
 public:
  Bpe(const TokenIds& vocabulary, Merges merges, const BpeOptions& options)
      : merges_(std::move(merges)), options_(options) {
    for (const auto& [token, id] : vocabulary) {
      const std::u32string points = unicode::decode(token);
      if (points.size() == 1) characters_.emplace(points[0], static_cast<uint32_t>(id));
    }
    if (options.ignore_merges) vocabulary_ = vocabulary;
  }

  void append(std::u32string_view word, std::vector<int64_t>& ids) const override {
    if (options_.ignore_merges) {
      const auto found = vocabulary_.find(unicode::encode(word));
      if (found != vocabulary_.end()) return ids.push_back(found->second);
    }
    MergedWord merged(merges_);
    bool unknown_before = false;
    for (const char32_t point : word) {
      const auto found = characters_.find(point);
      const bool unknown = found == characters_.end();
      if (!unknown) {
        merged.add(found->second);
      } else if (!options_.bytes.empty()) {
        add_bytes(point, merged);
      } else if (options_.unknown && !(options_.fuse_unknown && unknown_before)) {
        merged.add(*options_.unknown);
      }
      unknown_before = unknown;
    }
    merged.merge();
    merged.append_to(ids);
  }

 private:
  void add_bytes(char32_t point, MergedWord& merged) const {
    std::string bytes;
    unicode::append(point, bytes);
    for (const char byte : bytes) merged.add(options_.bytes[static_cast<unsigned char>(byte)]);
  }

  std::unordered_map<char32_t, uint32_t> characters_;
  TokenIds vocabulary_;  ///< only where whole words are looked up
  Merges merges_;
  BpeOptions options_;
};

/// "first second", or an array of the two.
std::pair<std::string, std::string> tokens_of(const json& merge, const std::string& where) {
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t blank = text.find(' ');
    if (blank != std::string::npos && text.find(' ', blank + 1) == std::string::npos)
      return {text.substr(0, blank), text.substr(blank + 1)};
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return {merge[0], merge[1]};
  }
  fail("{} is {}; two tokens are needed, with one blank between them or in an array", where,
       merge.is_array() ? merge.dump() : describe(merge));
}

uint32_t id_of(const TokenIds& vocabulary, const std::string& token, const std::string& where) {
  const auto found = vocabulary.find(token);
  if (found == vocabulary.end())
    fail("{}: token '{}' is not in the vocabulary; it must be", where, token);
  return static_cast<uint32_t>(found->second);
}

Merges read_merges(const json& model, const TokenIds& vocabulary, const std::string& where) {
  const auto field = model.find("merges");
  if (field == model.end() || !field->is_array()) {
    fail("{}: field 'merges' is {}; an array of pairs of tokens is needed", where,
         field == model.end() ? "missing" : describe(*field));
  }
  Merges merges;
  merges.reserve(field->size());
  uint32_t rank = 0;
  for (size_t i = 0; i < field->size(); ++i) {
    const json& merge = (*field)[i];
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    const std::string here = fmt::format("{}.merges[{}]", where, i);
    const auto [first, second] = tokens_of(merge, here);
    const uint64_t pair = pair_of(id_of(vocabulary, first, here), id_of(vocabulary, second, here));
    // Of equal pairs the last one counts.
    merges.insert_or_assign(pair, Merge{rank++, id_of(vocabulary, first + second, here)});
  }
  return merges;
}

void check_unsupported(const json& model, const std::string& where) {
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::string value = string_field(model, field, where, "");
    if (!value.empty())
      fail("{}: {} is '{}'; supported is none (null or \"\")", where, field, value);
  }
  const double dropout = number_field(model, "dropout", where, 0.0);
  if (dropout != 0.0) fail("{}: dropout is {}; supported is none (null or 0)", where, dropout);
}

}  // namespace

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

std::unique_ptr<const SubwordModel> read_bpe(const json& model, const TokenIds& vocabulary,
                                             const std::string& where) {
  check_unsupported(model, where);
  BpeOptions options;
  options.fuse_unknown = bool_field(model, "fuse_unk", where, false);
  options.ignore_merges = bool_field(model, "ignore_merges", where, false);
  if (const auto unknown = model.find("unk_token"); unknown != model.end() && !unknown->is_null())
    options.unknown =
        id_of(vocabulary, string_field(model, "unk_token", where), where + ".unk_token");
  if (bool_field(model, "byte_fallback", where, false)) {
    for (int byte = 0; byte < 256; ++byte) {
      options.bytes.push_back(
          id_of(vocabulary, byte_token(static_cast<uint8_t>(byte)), where + ".byte_fallback"));
    }
  }
  return std::make_unique<Bpe>(vocabulary, read_merges(model, vocabulary, where), options);
}

}  // namespace pace
