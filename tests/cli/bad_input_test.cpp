#include <thread>

#include "tests/cli/workspace.h"

namespace pace::cli {
namespace {

const Workspace& work() { return Workspace::get(); }

TEST(BadInput, WrongUseExitsWithTwo) {
  EXPECT_EQ(pace("").status, 2);
  EXPECT_EQ(pace("fly").status, 2);
  PACE_EXPECT_FAILS(pace("info --fast " + work().dense()), 2, "--fast");
  PACE_EXPECT_FAILS(pace("info"), 2, "required");
  PACE_EXPECT_FAILS(pace("train --data images:x --out y"), 2, "--model");
  PACE_EXPECT_FAILS(pace(work().training() + "--out x --threads 0"), 2, "--threads");
  PACE_EXPECT_FAILS(pace(work().training() + "--out x --batch 0"), 2, "--batch");
  PACE_EXPECT_FAILS(pace(work().training() + "--out x --rate nan"), 2, "--rate");
  PACE_EXPECT_FAILS(pace(work().training() + "--out x --config none.toml"), 2, "none.toml");
  PACE_EXPECT_FAILS(pace(work().adapting() + "--out x --maps mlp,keys"), 2, "keys");
  PACE_EXPECT_FAILS(pace("eval --model x --data images:y --budget 0.5 --max-drop 1%"), 2,
                    "excludes");
  PACE_EXPECT_FAILS(pace("bench --model x --batch 4-1"), 2, "4-1");
  PACE_EXPECT_FAILS(pace("bench --model x --dtype f64"), 2, "f64");
  PACE_EXPECT_FAILS(pace("bench --model x --tokens 9..4"), 2, "9..4");
  PACE_EXPECT_FAILS(pace("bench --model x --tokens 1...4"), 2, "--tokens");
  PACE_EXPECT_FAILS(pace("bench --tokens 4 --model " + work().dense()), 2, "read text");
  PACE_EXPECT_FAILS(pace("predict --model x --dtype half y.png"), 2, "half");
  PACE_EXPECT_FAILS(pace("eval --data pictures:x --model " + work().dense()), 2, "pictures");
  write_text(work().path("bad.toml"), "epoch = 3\n");
  PACE_EXPECT_FAILS(pace(work().training() + "--out x --config " + work().path("bad.toml")), 2,
                    "epoch");
}

TEST(BadInput, WhatIsNoBudgetExitsWithTwo) {
  for (const std::string budget : {"0", "-1", "1.5", "nan", "half", "0.5x"}) {
    PACE_EXPECT_FAILS(pace("predict x.png --budget " + budget + " --model " + work().adaptive()), 2,
                      budget);
    PACE_EXPECT_FAILS(
        pace("eval --budgets 1," + budget + " --data images:x --model " + work().adaptive()), 2,
        budget);
  }
  PACE_EXPECT_FAILS(pace("predict x.png --max-drop 200% --model " + work().adaptive()), 2, "200%");
}

TEST(BadInput, ADenseModelHasNoSmallerBudget) {
  PACE_EXPECT_FAILS(
      pace("predict " + work().path("data/red/0.png") + " --budget 0.5 --model " + work().dense()),
      1, "dense");
}

TEST(BadInput, AnExistingOutputStaysAsItIs) {
  fs::create_directories(work().path("taken"));
  write_text(work().path("taken/file"), "precious");
  PACE_EXPECT_FAILS(pace(work().training() + "--out " + work().path("taken")), 1, "--force");
  PACE_EXPECT_FAILS(pace(work().adapting() + "--out " + work().path("taken")), 1, "--force");
  EXPECT_EQ(read_text(work().path("taken/file")), "precious");
  EXPECT_FALSE(fs::exists(work().path("taken.partial")));
}

TEST(BadInput, MissingOrEmptyFoldersAreNamed) {
  PACE_EXPECT_FAILS(pace("info " + work().path("nowhere")), 1, "nowhere");
  PACE_EXPECT_FAILS(
      pace("eval --model " + work().dense() + " --data images:" + work().path("nowhere")), 1,
      "nowhere");
  fs::create_directories(work().path("empty"));
  PACE_EXPECT_FAILS(pace("info " + work().path("empty")), 1, "empty");
  const std::string training = "train --batch 4 --model " + work().dense() + " --out " +
                               work().path("none") + " --data images:";
  PACE_EXPECT_FAILS(pace(training + work().path("empty")), 1, "empty");
  fs::create_directories(work().path("single"));
  fs::copy(work().path("data/red"), work().path("single/red"),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  PACE_EXPECT_FAILS(pace(training + work().path("single")), 1, "two");
  EXPECT_FALSE(fs::exists(work().path("none.partial")));
}

TEST(BadInput, BrokenModelsAreRefused) {
  const std::string model = work().path("text-model");
  fs::copy(work().dense(), model, fs::copy_options::recursive);
  const std::string weights = model + "/model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) / 2);
  PACE_EXPECT_FAILS(pace("info " + model), 1, "model.safetensors");
  write_text(weights, "these are no weights");
  PACE_EXPECT_FAILS(pace("info " + model), 1, "model.safetensors");
  write_text(model + "/config.json", "{\"model_type\": ");
  PACE_EXPECT_FAILS(pace("info " + model), 1, "config.json");
  PACE_EXPECT_FAILS(pace("info " + weights), 1, "text-model");
}

TEST(BadInput, BrokenPicturesAreNamedCountedAndSkipped) {
  const std::string data = work().path("some-broken");
  fs::copy(work().path("data"), data, fs::copy_options::recursive);
  write_text(data + "/red/bad1.png", "no picture");
  write_text(data + "/blue/bad2.jpg", "no picture either");
  const std::string training = "train --threads 1 --batch 12 --epochs 1 --held-out 0 --model " +
                               work().dense() + " --data images:" + data + " --out " +
                               work().path("unbroken") + " --json ";
  const Outcome stopped = pace(training);
  EXPECT_EQ(stopped.status, 1);
  for (const char* text : {"bad1.png", "bad2.jpg", "2 of 62", "--skip-broken"}) {
    EXPECT_NE(stopped.err.find(text), std::string::npos) << stopped.err;
  }
  EXPECT_FALSE(fs::exists(work().path("unbroken.partial"))) << "nothing was trained yet";
  const Outcome skipped = pace(training + "--skip-broken");
  ASSERT_EQ(skipped.status, 0) << skipped.err;
  EXPECT_EQ(skipped.parsed().at("broken"), 2);
  EXPECT_NE(skipped.err.find("bad1.png"), std::string::npos) << skipped.err;
  const Outcome evaluated =
      pace("eval --skip-broken --json --model " + work().dense() + " --data images:" + data);
  EXPECT_EQ(evaluated.parsed().at("broken"), 2) << evaluated.err;
  EXPECT_EQ(evaluated.parsed().at("dense").at("items"), 60);
}

TEST(BadInput, AFullDiskIsReportedAndLeavesNothingHalf) {
  // A limit on the size of files acts as a disk that is full.
  const std::string out = work().path("too-large");
  const Outcome outcome =
      shell("ulimit -f 4; " + command() + " " + work().training() + "--epochs 1 --out " + out);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_FALSE(outcome.err.empty());
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(shell(command() + " info " + work().dense() + " >/dev/full").status, 1);
}

/// Waits until the file is there; false when it does not come.
bool appears(const fs::path& path) {
  for (int i = 0; i < 600 && !fs::exists(path); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return fs::exists(path);
}

TEST(Resume, AKilledRunGoesOnToTheSameWeights) {
  const std::string common = work().training() + "--epochs 120 --held-out 0 --out ";
  const std::string killed = work().path("killed"), whole = work().path("whole");
  const pid_t child = start(common + killed + " --checkpoint-seconds 0.05");
  ASSERT_TRUE(appears(killed + ".partial/checkpoint.safetensors"));
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the run was over before it could be killed";
  EXPECT_FALSE(fs::exists(killed));

  PACE_EXPECT_FAILS(pace(common + killed), 1, "--resume");
  PACE_EXPECT_FAILS(pace(common + killed + " --resume --smoothing 0.3"), 1, "smoothing");
  const Outcome resumed = pace(common + killed + " --resume");
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  ASSERT_EQ(pace(common + whole).status, 0);
  EXPECT_EQ(read_bytes(killed + "/model.safetensors"), read_bytes(whole + "/model.safetensors"));
  PACE_EXPECT_FAILS(pace(common + killed + " --resume"), 1, "exists");
}

}  // namespace
}  // namespace pace::cli
