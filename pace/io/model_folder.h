#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pace/io/json.h"
#include "pace/io/safetensors.h"

namespace pace {

/// The weights of a model folder: `model.safetensors`, or the shards its index names.
class WeightFiles {
 public:
  WeightFiles() = default;
  /// Throws Error when neither form is there, or when index and shards contradict each other.
  explicit WeightFiles(const fs::path& folder);

  bool contains(const std::string& name) const;
  /// Throws Error naming folder and tensor.
  at::Tensor tensor(const std::string& name) const;
  std::vector<std::string> names() const;

 private:
  fs::path folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t> file_of_;
};

/// A Hugging Face model folder, opened.
struct ModelFolder {
  fs::path path;
  json config;                                   ///< config.json
  std::optional<json> preprocessor;              ///< preprocessor_config.json, if there is one
  std::map<std::string, std::string> tokenizer;  ///< the files of a tokeniser, by their names
  WeightFiles weights;

  /// Throws Error when the folder, its config or its weights are missing or broken.
  static ModelFolder open(const fs::path& path);
};

/// The files of a tokeniser in a folder, by their names.
std::map<std::string, std::string> read_tokenizer(const fs::path& folder);

/// Writes config.json, preprocessor_config.json (if any), the tokeniser's files and
/// model.safetensors into an existing folder, each file atomically, the weights last.
void write_model_folder(const fs::path& folder, const json& config,
                        const std::optional<json>& preprocessor, const NamedTensors& tensors,
                        const std::map<std::string, std::string>& tokenizer = {});

}  // namespace pace
