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

#define PACE_EXPECT_FAILS(outcome, expected_status, text)              \
  do {                                                                 \
    const Outcome failed = (outcome);                                  \
    EXPECT_EQ(failed.status, expected_status) << failed.err;           \
    EXPECT_NE(failed.err.find(text), std::string::npos) << failed.err; \
  } while (false)

}  // namespace pace::cli
