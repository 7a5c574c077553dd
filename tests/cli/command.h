#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "pace/base/files.h"
#include "pace/io/image.h"
#include "tests/temporary_folder.h"

namespace pace::cli {

using nlohmann::json;

struct Outcome {
  int status = -1;  ///< 128 + signal when killed by one
  std::string out, err;
  json parsed() const { return json::parse(out); }
};

/// The real command, told by the environment variable PACE_COMMAND.
inline std::string command() {
  const char* path = std::getenv("PACE_COMMAND");
  if (!path) throw std::runtime_error("PACE_COMMAND is unset; run the tests through ctest");
  return path;
}

/// Runs a shell line and waits for it.
inline Outcome shell(const std::string& line) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string(), err = (folder / "err").string();
  const int status = std::system(("(" + line + ") >" + out + " 2>" + err).c_str());
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), {}, {}};
  outcome.out = read_text(out);
  outcome.err = read_text(err);
  return outcome;
}

inline Outcome pace(const std::string& arguments) { return shell(command() + " " + arguments); }

/// Starts the command without waiting and returns its process id.
inline pid_t start(const std::string& arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  // The shell replaces itself by the command, so the id is the command's.
  const std::string line = "exec " + command() + " " + arguments + " >/dev/null 2>&1";
  execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
  _exit(127);
}

/// `count` pictures of 16 x 16 pixels in one colour with noise, as PNGs in `folder`.
inline void write_pictures(const fs::path& folder, int count, std::array<int, 3> colour,
                           uint64_t seed) {
  fs::create_directories(folder);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> noise(-40, 40);
  for (int i = 0; i < count; ++i) {
    Image image = at::empty({16, 16, 3}, at::kByte);
    uint8_t* value = image.mutable_data_ptr<uint8_t>();
    for (int j = 0; j < 16 * 16 * 3; ++j) {
      value[j] = static_cast<uint8_t>(std::clamp(colour[j % 3] + noise(random), 0, 255));
    }
    const std::vector<uint8_t> png = encode_png(image);
    std::ofstream(folder / (std::to_string(i) + ".png"), std::ios::binary)
        .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  }
}

/// A folder per class of pictures that are easily told apart.
inline void write_image_folder(const fs::path& folder, int per_class) {
  write_pictures(folder / "blue", per_class, {60, 60, 190}, 1);
  write_pictures(folder / "green", per_class, {60, 190, 60}, 2);
  write_pictures(folder / "red", per_class, {190, 60, 60}, 3);
}

/// A tiny vision transformer's config.json and preprocessor_config.json.
inline void write_architecture(const fs::path& config, const fs::path& preprocessor) {
  const json model = {{"model_type", "vit"},     {"architectures", {"ViTForImageClassification"}},
                      {"image_size", 16},        {"patch_size", 4},
                      {"num_channels", 3},       {"hidden_size", 16},
                      {"num_hidden_layers", 2},  {"num_attention_heads", 2},
                      {"intermediate_size", 32}, {"hidden_act", "gelu"},
                      {"layer_norm_eps", 1e-6},  {"initializer_range", 0.02},
                      {"qkv_bias", true}};
  const json pixels = {{"image_processor_type", "ViTImageProcessor"},
                       {"do_resize", true},
                       {"size", {{"height", 16}, {"width", 16}}},
                       {"resample", 2},
                       {"do_rescale", true},
                       {"rescale_factor", 1.0 / 255},
                       {"do_normalize", true},
                       {"image_mean", {0.5, 0.5, 0.5}},
                       {"image_std", {0.5, 0.5, 0.5}}};
  write_text(config, model.dump());
  write_text(preprocessor, pixels.dump());
}

}  // namespace pace::cli
