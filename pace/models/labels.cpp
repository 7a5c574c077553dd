#include "pace/models/labels.h"

#include "pace/base/error.h"
#include "pace/io/model_folder.h"

namespace pace {

namespace {

constexpr int64_t kMostClasses = int64_t{1} << 24;

std::vector<std::string> named_labels(const json& id2label, const std::string& where) {
  if (!id2label.is_object() || id2label.empty()) {
    fail("{}: id2label must be an object from class numbers to names", where);
  }
  std::vector<std::string> labels;
  for (size_t id = 0; id < id2label.size(); ++id) {
    const auto entry = id2label.find(std::to_string(id));
    if (entry == id2label.end()) {
      fail("{}: id2label has {} entries, but none for class {}; classes are numbered from 0", where,
           id2label.size(), id);
    }
    if (!entry->is_string()) fail("{}: id2label[\"{}\"] is no string", where, id);
    labels.push_back(entry->get<std::string>());
  }
  return labels;
}

}  // namespace

std::vector<std::string> class_labels(const json& config, const std::string& where) {
  const auto names = config.find("id2label");
  const bool named = names != config.end() && !names->is_null();
  std::vector<std::string> labels;
  if (named) labels = named_labels(*names, where);
  const int64_t fallback = named ? static_cast<int64_t>(labels.size()) : 2;
  const int64_t count = integer_field(config, "num_labels", where, fallback);
  if (count < 1 || count > kMostClasses) {
    fail("{}: num_labels is {}; it must lie in 1..{}", where, count, kMostClasses);
  }
  if (named && count != fallback) {
    fail("{}: num_labels is {}, but id2label names {} classes", where, count, fallback);
  }
  for (int64_t id = static_cast<int64_t>(labels.size()); id < count; ++id) {
    labels.push_back(std::to_string(id));
  }
  return labels;
}

void set_class_labels(json& config, const std::vector<std::string>& labels) {
  if (labels.empty()) fail("a classifier needs at least one class");
  json id2label = json::object(), label2id = json::object();
  for (size_t id = 0; id < labels.size(); ++id) {
    if (label2id.contains(labels[id])) fail("the class name '{}' appears twice", labels[id]);
    id2label[std::to_string(id)] = labels[id];
    label2id[labels[id]] = id;
  }
  config["id2label"] = std::move(id2label);
  config["label2id"] = std::move(label2id);
  config["num_labels"] = labels.size();
}

}  // namespace pace
