#include "pace/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace pace::cli {
namespace {

constexpr double kRedraw = 0.1;      // seconds between two drawings of the bar
constexpr double kLineLatest = 30;   // seconds between two plain lines, at most ...
constexpr double kLineEarliest = 2;  // ... and at least
constexpr int kWidthUnknown = 80, kLeastBar = 6, kWidestBar = 40;

std::string clock_time(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{:02}:{:02}", minutes, whole % 60);
}

/// Slow work is better told by seconds per step.
std::string rate_text(double rate) {
  if (rate <= 0) return "?/s";
  return rate >= 1 ? fmt::format("{:.4g}/s", rate) : fmt::format("{:.4g} s each", 1 / rate);
}

int terminal_width(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kWidthUnknown;
  return size.ws_col;
}

}  // namespace

std::string progress_line(const Progress& progress, int width) {
  const double share =
      progress.total > 0
          ? std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.total),
                       0.0, 1.0)
          : 0.0;
  const auto fresh = static_cast<double>(progress.done - progress.before);
  const double rate = progress.seconds > 0 ? fresh / progress.seconds : 0.0;
  const std::string left =
      rate > 0 ? clock_time(static_cast<double>(progress.total - progress.done) / rate) : "?";
  const std::string head = fmt::format("{} {:3}%", progress.task, static_cast<int>(share * 100));
  std::string tail = fmt::format("{}/{} [{}<{}, {}]", progress.done, progress.total,
                                 clock_time(progress.seconds), left, rate_text(rate));
  if (!progress.note.empty()) tail += " " + progress.note;
  if (width == 0) return head + " " + tail;
  const int room = width - static_cast<int>(head.size() + tail.size()) - 4;
  std::string line = head + " " + tail;
  if (room >= kLeastBar) {
    const int bar = std::min(room, kWidestBar), full = static_cast<int>(share * bar);
    line = fmt::format("{}|{}{}| {}", head, std::string(full, '#'), std::string(bar - full, ' '),
                       tail);
  }
  // The last column stays free: some terminals wrap when it is written.
  return line.substr(0, static_cast<size_t>(std::max(width - 1, 0)));
}

Terminal::Terminal() : Terminal(stderr, isatty(STDERR_FILENO) == 1) {}

Terminal::Terminal(std::FILE* stream, bool interactive)
    : stream_(stream), interactive_(interactive) {}

Terminal::~Terminal() { interrupt(); }

void Terminal::start(std::string_view task, int64_t total, int64_t done) {
  const std::lock_guard lock(mutex_);
  clear();
  progress_ = {std::string(task), {}, total, done, done, 0.0};
  begin_ = shown_ = Clock::now();
  shown_tenth_ = total > 0 ? done * 10 / total : 0;
  running_ = true;
  if (interactive_) draw(false);
}

void Terminal::advance(int64_t done, std::string_view note) {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  progress_.done = done;
  if (!note.empty()) progress_.note = note;
  show(false);
}

void Terminal::finish() {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  show(true);
  running_ = drawn_ = false;
}

void Terminal::warn(std::string_view message) {
  const std::lock_guard lock(mutex_);
  clear();
  fmt::print(stream_, "warning: {}\n", message);
  if (running_ && interactive_) draw(false);
}

void Terminal::interrupt() {
  const std::lock_guard lock(mutex_);
  if (drawn_) std::fputc('\n', stream_);
  std::fflush(stream_);
  running_ = drawn_ = false;
}

void Terminal::show(bool last) {
  const auto now = Clock::now();
  progress_.seconds = std::chrono::duration<double>(now - begin_).count();
  const double since = std::chrono::duration<double>(now - shown_).count();
  if (interactive_) {
    if (last || since >= kRedraw) draw(last);
    return;
  }
  const int64_t tenth = progress_.total > 0 ? progress_.done * 10 / progress_.total : 0;
  const bool due = since >= kLineLatest || (tenth > shown_tenth_ && since >= kLineEarliest);
  if (due || (last && progress_.seconds >= kLineEarliest)) {
    shown_tenth_ = tenth;
    print_line();
  }
}

void Terminal::draw(bool last) {
  shown_ = Clock::now();
  const std::string line = progress_line(progress_, terminal_width(stream_));
  fmt::print(stream_, "\r\033[K{}{}", line, last ? "\n" : "");
  std::fflush(stream_);
  drawn_ = !last;
}

void Terminal::print_line() {
  shown_ = Clock::now();
  fmt::print(stream_, "{}\n", progress_line(progress_, 0));
  std::fflush(stream_);
}

void Terminal::clear() {
  if (drawn_) fmt::print(stream_, "\r\033[K");
  drawn_ = false;
}

}  // namespace pace::cli
