#include "pace/io/model_folder.h"

#include <set>

#include "pace/base/error.h"

namespace pace {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kPreprocessor = "preprocessor_config.json";
/// What a tokeniser may consist of.
constexpr const char* kTokenizer[] = {"tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.txt",
                                      "vocab.json",
                                      "merges.txt"};
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

json read_object(const fs::path& path) {
  const std::string where = fmt::format("'{}'", path.string());
  json document = parse_json(read_text(path), where);
  if (!document.is_object()) fail("{}: an object is needed, found {}", where, describe(document));
  return document;
}

/// tensor -> shard, as the index says.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
  const std::string where = fmt::format("'{}'", path.string());
  const json index = read_object(path);
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object())
    fail("{}: field 'weight_map' is missing or not an object", where);
  std::map<std::string, std::string> weight_map;
  for (const auto& [name, shard] : found->items()) {
    // A shard lies beside its index; a path would let a model folder read files elsewhere.
    if (!shard.is_string() ||
        fs::path(shard.get<std::string>()).filename() != shard.get<std::string>())
      fail("{}: tensor '{}' lies in {}; the name of a file in the same folder is needed", where,
           name, describe(shard));
    weight_map[name] = shard.get<std::string>();
  }
  if (weight_map.empty()) fail("{}: 'weight_map' is empty", where);
  return weight_map;
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& folder) : folder_(folder) {
  if (fs::exists(folder / kWeights)) {
    files_.emplace_back(folder / kWeights);
    for (const TensorInfo& tensor : files_[0].header().tensors) file_of_[tensor.name] = 0;
    return;
  }
  if (!fs::exists(folder / kIndex))
    fail(
        "'{}' has neither {} nor {}; weights in other formats (such as pytorch_model.bin) must be "
        "converted to safetensors first",
        folder.string(), kWeights, kIndex);
  const std::map<std::string, std::string> weight_map = read_weight_map(folder / kIndex);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  for (const std::string& shard : shards) {
    if (!fs::exists(folder / shard))
      fail("'{}' is missing, although {} names it", (folder / shard).string(), kIndex);
    files_.emplace_back(folder / shard);
    for (const TensorInfo& tensor : files_.back().header().tensors) {
      const auto found = weight_map.find(tensor.name);
      if (found == weight_map.end() || found->second != shard)
        fail("'{}' has tensor '{}', which {} {}", (folder / shard).string(), tensor.name, kIndex,
             found == weight_map.end() ? "does not know" : "says is in '" + found->second + "'");
      file_of_[tensor.name] = files_.size() - 1;
    }
  }
  for (const auto& [name, shard] : weight_map)
    if (!file_of_.contains(name))
      fail("'{}' has no tensor '{}', although {} says so", (folder / shard).string(), name, kIndex);
}

bool WeightFiles::contains(const std::string& name) const { return file_of_.contains(name); }

at::Tensor WeightFiles::tensor(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end())
    fail("the weights in '{}' have no tensor '{}'", folder_.string(), name);
  return files_[found->second].tensor(name);
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

ModelFolder ModelFolder::open(const fs::path& path) {
  if (!fs::exists(path)) fail("model folder '{}' does not exist", path.string());
  if (!fs::is_directory(path))
    fail("'{}' is a file; a model folder (config.json and model.safetensors) is needed",
         path.string());
  if (!fs::exists(path / kConfig))
    fail("'{}' is not a model folder: it has no {}", path.string(), kConfig);
  ModelFolder folder;
  folder.path = path;
  folder.config = read_object(path / kConfig);
  if (fs::exists(path / kPreprocessor)) folder.preprocessor = read_object(path / kPreprocessor);
  folder.tokenizer = read_tokenizer(path);
  folder.weights = WeightFiles(path);
  return folder;
}

std::map<std::string, std::string> read_tokenizer(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const char* name : kTokenizer) {
    if (fs::exists(folder / name)) files[name] = read_text(folder / name);
  }
  return files;
}

void write_model_folder(const fs::path& folder, const json& config,
                        const std::optional<json>& preprocessor, const NamedTensors& tensors,
                        const std::map<std::string, std::string>& tokenizer) {
  if (!fs::is_directory(folder))
    fail("cannot write a model into '{}': it is not an existing folder", folder.string());
  write_text(folder / kConfig, json_text(config, (folder / kConfig).string()));
  if (preprocessor)
    write_text(folder / kPreprocessor, json_text(*preprocessor, (folder / kPreprocessor).string()));
  for (const auto& [name, contents] : tokenizer) write_text(folder / name, contents);
  // "format" is what transformers asks for before it reads a file.
  write_safetensors(folder / kWeights, tensors, {{"format", "pt"}});
}

}  // namespace pace
