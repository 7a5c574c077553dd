#include <ATen/Parallel.h>

#include <gtest/gtest.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "tests/temporary_folder.h"
#include "tests/train/toy.h"

namespace pace {
namespace {

constexpr double kEpochs = 8;  // 40 steps in each of three phases

/// Trains in `target` as a command would, going on from whatever lies there.
void train_into(const fs::path& target) {
  at::set_num_threads(1);
  const bool resume = fs::exists(fs::path(target) += ".partial");
  RunFolder run(target, Overwrite::kRefuse, resume ? Start::kResume : Start::kFresh);
  LoadedModel model = toy::model(3);
  Trainer trainer(run.path(), toy::kPhases, model.model->parameters().all());
  toy::train_phases(model, trainer, /*checkpoint_seconds=*/0.005, kEpochs);
  write_safetensors(run.path() / "model.safetensors", model.model->parameters().all());
  const std::vector<std::string> scratch{Trainer::kCheckpoint};
  run.commit(scratch);
}

std::chrono::microseconds processor_time() {
  return std::chrono::microseconds(std::clock() * 1'000'000 / CLOCKS_PER_SEC);
}

/// Trains in a process of its own, killed when it has had so much of the processor (a time on the
/// clock would be nothing on a busy machine); whether it was alive until then.
bool killed_after(const fs::path& target, std::chrono::microseconds delay) {
  const pid_t child = ::fork();
  if (child == 0) {
    const itimerval timer{.it_interval = {},
                          .it_value = {.tv_sec = delay.count() / 1'000'000,
                                       .tv_usec = delay.count() % 1'000'000 + 1}};
    ::setitimer(ITIMER_PROF, &timer, nullptr);
    try {
      train_into(target);
    } catch (const std::exception& error) {
      fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return true;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

TEST(KillTest, KilledAgainAndAgainEndsTheSame) {
  at::set_num_threads(1);
  TemporaryFolder folder;
  const auto start = processor_time();
  train_into(folder / "whole");
  const auto whole = processor_time() - start;

  auto random = random_for({1});
  int kills = 0;
  while (!fs::exists(folder / "killed") && !HasFailure()) {
    // A small part of the whole, longer and longer, so that it comes to its end at last.
    const auto delay = whole * (random() % 100 + static_cast<uint64_t>(kills) * 8) / 800;
    if (killed_after(folder / "killed", delay)) ++kills;
  }
  EXPECT_GE(kills, 5);

  EXPECT_EQ(read_bytes(folder / "killed" / "model.safetensors"),
            read_bytes(folder / "whole" / "model.safetensors"));
  std::vector<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    // A run killed when it had its name already, just before it was to tidy up, is complete.
    if (entry.is_regular_file() && name != Trainer::kCheckpoint) left.push_back(name);
  }
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"metrics.jsonl", "metrics.jsonl", "model.safetensors",
                                            "model.safetensors"}));
}

}  // namespace
}  // namespace pace
