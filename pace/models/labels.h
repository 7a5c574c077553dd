#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace pace {

using nlohmann::json;

/// Names of the classes of a Hugging Face config in order of the logits: those of id2label, or "0",
/// "1", ... for num_labels (2 when that is absent too, as in transformers). Throws Error naming
/// `where` when id2label does not name every class from 0 on, or contradicts num_labels.
std::vector<std::string> class_labels(const json& config, const std::string& where);

/// Sets id2label, label2id and num_labels. Throws Error when there is no label or one appears
/// twice.
void set_class_labels(json& config, const std::vector<std::string>& labels);

}  // namespace pace
