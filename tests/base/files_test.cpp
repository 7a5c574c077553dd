#include "pace/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "pace/base/error.h"
#include "pace/base/progress.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace pace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Runs `action` in a child that ends without any destructor, as a killed process does.
template <class Action>
void in_killed_process(Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(ReadBytes, ReadsWhatWasWritten) {
  TemporaryFolder folder;
  std::string text(300'000, 'x');
  text[0] = '\0';
  text[200'000] = '\xff';
  write_text(folder / "file", text);
  EXPECT_EQ(read_text(folder / "file"), text);
  EXPECT_EQ(read_bytes(folder / "file"), std::vector<uint8_t>(text.begin(), text.end()));
  write_text(folder / "file", "");
  EXPECT_TRUE(read_bytes(folder / "file").empty());
}

TEST(ReadBytes, ReadsFilesThatReportNoSize) {
  EXPECT_THAT(read_text("/proc/self/status"), HasSubstr("Pid:"));
}

TEST(ReadBytes, SaysWhatCannotBeRead) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_bytes(folder / "none"); }),
              AllOf(HasSubstr("none'"), HasSubstr("No such file")));
  EXPECT_THAT(error_of([&] { read_text(folder.path()); }), HasSubstr("it is a folder"));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  TemporaryFolder folder;
  write_text(folder / "file", "old");
  {
    AtomicFile file(folder / "file");
    file.write("new");
    EXPECT_EQ(read_text(folder / "file"), "old");
    file.commit();
    EXPECT_EQ(read_text(folder / "file"), "new");
  }
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  TemporaryFolder folder;
  { AtomicFile(folder / "file").write("half"); }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(AtomicFile, ManyWritersOfOneNameNeverMix) {
  TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (char letter = 'a'; letter < 'i'; ++letter)
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 20; ++i) write_text(folder / "file", std::string(10'000, letter));
    });
  for (std::thread& writer : writers) writer.join();
  const std::string text = read_text(folder / "file");
  EXPECT_EQ(text, std::string(10'000, text[0]));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(AtomicFile, SaysWhereItCannotWrite) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { AtomicFile file(folder / "none/file"); }),
              AllOf(HasSubstr("none/file'"), HasSubstr("No such file")));
  fs::create_directory(folder / "taken");
  EXPECT_THAT(error_of([&] { write_text(folder / "taken", "text"); }), HasSubstr("taken'"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("taken"));
}

TEST(AtomicFile, FailingWriteIsAnErrorAndLeavesTheOldFile) {
  TemporaryFolder folder;
  write_text(folder / "file", "old");
  // Stands in for a full disk: writes beyond the limit fail.
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit small{4096, old_limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string message =
      error_of([&] { write_text(folder / "file", std::string(100'000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message,
              AllOf(HasSubstr("cannot write"), HasSubstr("file'"), HasSubstr("too large")));
  EXPECT_EQ(read_text(folder / "file"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(RunFolder, GrowsAsPartialAndCommits) {
  TemporaryFolder folder;
  RunFolder run(folder / "deep/out/", Overwrite::kRefuse, Start::kFresh);
  EXPECT_EQ(run.target(), folder / "deep/out");
  EXPECT_EQ(run.path(), folder / "deep/out.partial");
  write_text(run.path() / "result", "done");
  write_text(run.path() / "checkpoint", "state");
  EXPECT_FALSE(fs::exists(run.target()));
  run.commit(std::vector<std::string>{"checkpoint", "never-made"});
  EXPECT_THAT(names_in(folder / "deep"), ElementsAre("out"));
  EXPECT_THAT(names_in(folder / "deep/out"), ElementsAre("result"));
}

TEST(RunFolder, RefusesToReplaceUnlessForced) {
  TemporaryFolder folder;
  fs::create_directory(folder / "out");
  write_text(folder / "out/result", "old");
  const auto make = [&](Overwrite overwrite) {
    RunFolder(folder / "out", overwrite, Start::kFresh);
  };
  EXPECT_THAT(error_of([&] { make(Overwrite::kRefuse); }), HasSubstr("exists already"));
  RunFolder run(folder / "out", Overwrite::kForce, Start::kFresh);
  EXPECT_EQ(read_text(folder / "out/result"), "old");  // until the very end
  write_text(run.path() / "result", "new");
  run.commit();
  EXPECT_EQ(read_text(folder / "out/result"), "new");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

TEST(RunFolder, RefusesWhatIsNotAFolder) {
  TemporaryFolder folder;
  write_text(folder / "out", "a file");
  EXPECT_THAT(error_of([&] { RunFolder(folder / "out", Overwrite::kForce, Start::kFresh); }),
              HasSubstr("not a folder"));
  EXPECT_EQ(read_text(folder / "out"), "a file");
  for (const char* name : {"", ".", "..", "/", "a/.."})
    EXPECT_THAT(error_of([&] { RunFolder(name, Overwrite::kForce, Start::kFresh); }),
                HasSubstr("cannot be an output folder"))
        << name;
}

TEST(RunFolder, RefusesATargetThatAppearedMeanwhile) {
  TemporaryFolder folder;
  RunFolder run(folder / "out", Overwrite::kRefuse, Start::kFresh);
  fs::create_directory(folder / "out");
  EXPECT_THAT(error_of([&] { run.commit(); }), HasSubstr("appeared"));
  EXPECT_TRUE(fs::exists(run.path()));
}

TEST(RunFolder, ResumesAKilledRun) {
  TemporaryFolder folder;
  const auto make = [&](Overwrite overwrite, Start start) {
    return RunFolder(folder / "out", overwrite, start);
  };
  EXPECT_THAT(error_of([&] { make(Overwrite::kRefuse, Start::kResume); }),
              HasSubstr("nothing to resume"));
  in_killed_process([&] {
    const RunFolder run = make(Overwrite::kRefuse, Start::kFresh);
    write_text(run.path() / "checkpoint", "state");
    AtomicFile half(run.path() / "next");
    half.write("half");
    ::raise(SIGKILL);
  });
  EXPECT_THAT(error_of([&] { make(Overwrite::kRefuse, Start::kFresh); }),
              AllOf(HasSubstr("unfinished run"), HasSubstr("--resume")));
  {
    const RunFolder run = make(Overwrite::kRefuse, Start::kResume);
    EXPECT_THAT(names_in(run.path()), ElementsAre("checkpoint"));  // nothing half written
  }
  RunFolder fresh = make(Overwrite::kForce, Start::kFresh);
  EXPECT_TRUE(names_in(fresh.path()).empty());
}

TEST(RunFolder, TwoProcessesCannotShareOne) {
  TemporaryFolder folder;
  RunFolder run(folder / "out", Overwrite::kRefuse, Start::kFresh);
  write_text(run.path() / "checkpoint", "state");
  EXPECT_THAT(error_of([&] { RunFolder(folder / "out", Overwrite::kRefuse, Start::kResume); }),
              HasSubstr("another process"));
  EXPECT_THAT(error_of([&] { RunFolder(folder / "out", Overwrite::kForce, Start::kFresh); }),
              HasSubstr("another process"));
  EXPECT_TRUE(fs::exists(run.path() / "checkpoint"));
}

TEST(RunFolder, RecoversFromAKillBetweenTheRenames) {
  TemporaryFolder folder;
  // As commit() leaves it when it is killed after moving the old folder aside.
  fs::create_directory(folder / "out.replaced");
  write_text(folder / "out.replaced/result", "old");
  fs::create_directory(folder / "out.partial");
  write_text(folder / "out.partial/result", "new");
  EXPECT_THAT(error_of([&] { RunFolder(folder / "out", Overwrite::kRefuse, Start::kResume); }),
              HasSubstr("exists already"));
  EXPECT_EQ(read_text(folder / "out/result"), "old");
  RunFolder(folder / "out", Overwrite::kForce, Start::kResume).commit();
  EXPECT_EQ(read_text(folder / "out/result"), "new");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

TEST(RunFolder, CleansUpAfterAKillAtTheEndOfCommit) {
  TemporaryFolder folder;
  fs::create_directory(folder / "out");
  fs::create_directories(folder / "out.replaced/deep");
  RunFolder(folder / "out", Overwrite::kForce, Start::kFresh).commit();
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

TEST(Quiet, TakesEverythingInSilence) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  quiet().start("work", 10);
  quiet().advance(3, "note");
  quiet().warn("careful");
  quiet().finish();
  EXPECT_EQ(testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace pace
