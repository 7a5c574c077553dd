#pragma once

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>

#include "pace/base/progress.h"

namespace pace::cli {

/// How far a piece of work is.
struct Progress {
  std::string task, note;
  int64_t total = 0, done = 0;
  int64_t before = 0;    ///< of `done`, by an earlier run: they say nothing of the speed
  double seconds = 0.0;  ///< since this run began
};

/// "train  45%|####      | 450/1000 [00:12<00:15, 36.2/s] note", the bar as wide as the line's
/// `width` allows. Without a bar when `width` is 0.
std::string progress_line(const Progress& progress, int width);

/// Tells of progress on a stream, standard error unless told otherwise: on a terminal a bar drawn
/// over itself, elsewhere a plain line at every tenth of the work, or after half a minute. May be
/// called from several threads.
class Terminal : public Reporter {
 public:
  Terminal();
  Terminal(std::FILE* stream, bool interactive);
  ~Terminal() override;

  void start(std::string_view task, int64_t total, int64_t done = 0) override;
  void advance(int64_t done, std::string_view note = {}) override;
  void finish() override;
  void warn(std::string_view message) override;
  /// Ends an unfinished bar, so that a message can follow on its own line.
  void interrupt();

 private:
  using Clock = std::chrono::steady_clock;

  void show(bool last);
  void draw(bool last);
  void print_line();
  void clear();

  std::FILE* stream_;
  bool interactive_;
  std::mutex mutex_;
  bool running_ = false, drawn_ = false;
  Progress progress_;
  Clock::time_point begin_, shown_;
  int64_t shown_tenth_ = 0;
};

}  // namespace pace::cli
