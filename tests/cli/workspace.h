#pragma once

#include <gtest/gtest.h>

#include "tests/cli/command.h"

namespace pace::cli {

/// Data, an architecture, and a dense and an adaptive model made from them by the command itself,
/// once for all tests.
class Workspace {
 public:
  static const Workspace& get() {
    static const Workspace workspace;
    return workspace;
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string data() const { return "images:" + path("data"); }
  std::string dense() const { return path("dense"); }
  std::string adaptive() const { return path("adaptive"); }
  /// What `train` needs beside --out, and little enough to be quick.
  std::string training() const {
    return "train --threads 1 --batch 12 --architecture " + path("config.json") +
           " --preprocessor " + path("pixels.json") + " --data " + data() + " ";
  }
  std::string adapting() const {
    return "adapt --threads 1 --batch 12 --model " + dense() + " --data " + data() +
           " --learners 4 --gate-hidden 2 --epochs1 1 --epochs2 1 --epochs3 1 "
           "--statistics-examples 30 ";
  }

 private:
  Workspace() {
    write_image_folder(folder_ / "data", 20);
    write_architecture(folder_ / "config.json", folder_ / "pixels.json");
    const std::string options = "--epochs 8 --rate 3e-3 --held-out 6 --json --out " + dense();
    train_ = pace(training() + options);
    adapt_ = pace(adapting() + "--json --out " + adaptive());
  }

  TemporaryFolder folder_;

 public:
  Outcome train_, adapt_;
};

/// A text of few rules, and a dense language model of it made by the command.
class LanguageWorkspace {
 public:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string data() const { return "text:" + path("text.txt"); }
  std::string adapting() const {
    return "adapt --threads 1 --batch 4 --calibration 4 --model " + path("dense") + " --data " +
           data() + " ";
  }

 protected:
  LanguageWorkspace(const json& architecture, const std::string& training) {
    std::string text;
    for (int line = 0; line < 400; ++line) text += line % 3 ? "to be or not\n" : "to see or not\n";
    write_text(folder_ / "text.txt", text);
    write_text(folder_ / "config.json", architecture.dump());
    train_ = pace("train --threads 1 --batch 2 --architecture " + path("config.json") +
                  " --tokenizer recipes/shakespeare-lstm/tokenizer --data " + data() +
                  " --held-out 3 --json --out " + path("dense") + " " + training);
  }

  TemporaryFolder folder_;

 public:
  Outcome train_;
};

#define PACE_EXPECT_FAILS(outcome, expected_status, text)              \
  do {                                                                 \
    const Outcome failed = (outcome);                                  \
    EXPECT_EQ(failed.status, expected_status) << failed.err;           \
    EXPECT_NE(failed.err.find(text), std::string::npos) << failed.err; \
  } while (false)

}  // namespace pace::cli
