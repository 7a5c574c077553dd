#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pace {

namespace fs = std::filesystem;

/// The whole file as bytes. Throws Error naming the path when it cannot be read or is a folder.
std::vector<uint8_t> read_bytes(const fs::path& path);
std::string read_text(const fs::path& path);

/// A file that appears under its name only when it is complete: bytes go to a temporary name in the
/// same folder, commit() flushes them to disk and renames. Destroyed without commit, it leaves
/// nothing behind. Every failed write (a full disk, say) throws Error with the path and the reason.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  fs::path target_, temporary_;
  int descriptor_ = -1;
};

void write_text(const fs::path& target, std::string_view text);

/// Where the result of a long run grows: `<target>.partial`, renamed to `target` by commit().
/// A killed process leaves `<target>.partial`, from which the same command goes on with resume.
enum class Overwrite { kRefuse, kForce };
enum class Start { kFresh, kResume };
class RunFolder {
 public:
  /// Throws Error when `target` exists and overwriting was not asked for, when an unfinished run
  /// lies there and neither kResume nor kForce was given, when there is nothing to resume, or when
  /// another process is writing there.
  RunFolder(fs::path target, Overwrite overwrite, Start start);

  const fs::path& path() const { return partial_; }
  const fs::path& target() const { return target_; }
  /// Renames, then removes what only the unfinished run needed (`scratch` names, relative). The
  /// other way round a kill in between would lose the checkpoint. A folder that is replaced waits
  /// as
  /// `<target>.replaced` until the new one is in place; the next run puts it back after a kill.
  void commit(std::span<const std::string> scratch = {});

 private:
  class Lock;
  fs::path target_, partial_, replaced_;
  Overwrite overwrite_;
  std::shared_ptr<const Lock> lock_;  ///< no second process writes here meanwhile
};

}  // namespace pace
