#pragma once

#include <set>
#include <string>
#include <vector>

#include "pace/base/error.h"
#include "pace/base/random.h"
#include "pace/data/dataset.h"

namespace pace {

/// A picture of bytes drawn from `seed`.
inline Image random_picture(int64_t height, int64_t width, int64_t channels, uint64_t seed) {
  auto random = random_for({seed});
  Image image = at::empty({height, width, channels}, at::kByte);
  uint8_t* bytes = image.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < image.numel(); ++i) bytes[i] = static_cast<uint8_t>(random());
  return image;
}

/// Random RGB pictures of 12x10 in three classes by turns, some of which cannot be read.
class PicturesInMemory : public Dataset {
 public:
  explicit PicturesInMemory(int64_t size, std::set<int64_t> broken = {})
      : size_(size), broken_(std::move(broken)) {}

  int64_t size() const override { return size_; }
  Image image(int64_t index) const override {
    if (broken_.contains(index)) fail("{} is broken", name(index));
    return random_picture(12, 10, 3, static_cast<uint64_t>(index));
  }
  int64_t label(int64_t index) const override { return index % 3; }
  std::string name(int64_t index) const override { return "memory #" + std::to_string(index); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  int64_t size_;
  std::set<int64_t> broken_;
  std::vector<std::string> classes_ = {"a", "b", "c"};
};

}  // namespace pace
