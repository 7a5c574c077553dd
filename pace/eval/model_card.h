#pragma once

#include <string>
#include <vector>

#include "pace/base/files.h"
#include "pace/models/factory.h"

namespace pace {

/// What a model card says that the model itself does not know.
struct ModelCard {
  std::string name;             ///< heading of the page
  std::string base_model = {};  ///< the model it was made from; may be empty
  std::string license = {};     ///< identifier as on the Hugging Face hub; empty if unknown
  std::vector<std::string> datasets = {};  ///< trained on
  std::optional<double> accuracy = {};     ///< of a dense model, on held-out data
};

/// README.md of an output folder: YAML front matter, what the model is, how it is used, and its
/// accuracy or accuracy-compute curve.
std::string render_model_card(const ModelCard& card, const LoadedModel& model);

/// The licence that the front matter of a folder's README.md names, or "" when it names none.
std::string license_of(const fs::path& model_folder);

}  // namespace pace
