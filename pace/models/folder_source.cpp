#include "pace/models/folder_source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "pace/base/error.h"

namespace pace {

std::optional<at::Tensor> FolderSource::find(const std::string& name) {
  std::string stored = name;
  if (!files_.contains(stored) && name.starts_with(prefix_)) stored = name.substr(prefix_.size());
  if (!files_.contains(stored)) return std::nullopt;
  asked_.insert(stored);
  return files_.tensor(stored);
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

}  // namespace pace
