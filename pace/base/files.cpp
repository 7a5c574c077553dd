#include "pace/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pace/base/error.h"

namespace pace {
namespace {

std::string reason(int error) { return std::strerror(error); }

/// A descriptor that is closed when it goes out of scope.
struct Descriptor {
  int value;
  explicit Descriptor(int descriptor) : value(descriptor) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

template <class Bytes>
Bytes read_all(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0)
    fail("cannot read '{}': {}", path.string(), reason(errno));
  if (S_ISDIR(status.st_mode))
    fail("cannot read '{}': it is a folder, a file is needed", path.string());
  // The size is only a hint: pipes and /proc report none, and a file may grow.
  constexpr size_t kChunk = 1 << 16;
  Bytes bytes;
  size_t done = 0;
  bytes.resize(std::max<size_t>(static_cast<size_t>(status.st_size) + 1, kChunk));
  while (true) {
    const ssize_t got = ::read(file.value, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read '{}': {}", path.string(), reason(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
    if (done == bytes.size()) bytes.resize(bytes.size() * 2);
  }
  bytes.resize(done);
  return bytes;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Makes a rename inside `folder` survive a power cut. Some file systems cannot flush folders and
/// say EINVAL; there is nothing better to do on them.
void flush_folder(const fs::path& folder) {
  Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.value < 0 || (::fsync(descriptor.value) != 0 && errno != EINVAL))
    fail("cannot flush folder '{}' to disk: {}", folder.string(), reason(errno));
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail("cannot rename '{}' to '{}': {}", from.string(), to.string(), reason(errno));
}

void remove_all_or_fail(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail("cannot remove '{}': {}", path.string(), error.message());
}

/// Whether something has this name, be it a dangling link.
bool taken(const fs::path& path) { return fs::exists(fs::symlink_status(path)); }

fs::path with_suffix(fs::path path, const char* suffix) { return path += suffix; }

constexpr std::string_view kTemporarySuffix = ".pace-tmp";

/// What AtomicFile leaves when its process is killed outright.
void remove_temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().ends_with(kTemporarySuffix)) found.push_back(entry.path());
  for (const fs::path& path : found) remove_all_or_fail(path);
}

}  // namespace

std::vector<uint8_t> read_bytes(const fs::path& path) {
  return read_all<std::vector<uint8_t>>(path);
}
std::string read_text(const fs::path& path) { return read_all<std::string>(path); }

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  const std::string stem = fmt::format(".{}.{}.", target_.filename().string(), ::getpid());
  // Exclusive creation makes the name unique also among the threads of this process and against
  // what a killed process of the same number left.
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ = folder_of(target_) / fmt::format("{}{}{}", stem, attempt, kTemporarySuffix);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST && errno != EINTR)
      fail("cannot write '{}': {}", target_.string(), reason(errno));
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write '{}': {}", target_.string(), reason(errno));
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  // Some file systems report a full disk only when flushing or closing.
  if (::fsync(descriptor_) != 0 && errno != EINVAL)
    fail("cannot write '{}': {}", target_.string(), reason(errno));
  if (::close(std::exchange(descriptor_, -1)) != 0)
    fail("cannot write '{}': {}", target_.string(), reason(errno));
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    fail("cannot write '{}': {}", target_.string(), reason(errno));
  temporary_.clear();
  flush_folder(folder_of(target_));
}

void write_text(const fs::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

/// Held while a run writes into its folder, so that a second one cannot force or resume into it.
class RunFolder::Lock {
 public:
  explicit Lock(const fs::path& folder)
      : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (folder_.value < 0) fail("cannot open folder '{}': {}", folder.string(), reason(errno));
    // File systems without locks answer otherwise than EWOULDBLOCK; the run goes on without one
    // there.
    if (::flock(folder_.value, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      fail("another process is writing '{}'; wait for it or choose another output folder",
           folder.string());
  }

 private:
  Descriptor folder_;
};

RunFolder::RunFolder(fs::path target, Overwrite overwrite, Start start)
    : target_(target.lexically_normal()), overwrite_(overwrite) {
  if (!target_.has_filename()) target_ = target_.parent_path();
  if (target_.filename().empty() || target_.filename() == "." || target_.filename() == "..")
    fail("'{}' cannot be an output folder; give a folder that does not exist yet", target.string());
  partial_ = with_suffix(target_, ".partial");
  replaced_ = with_suffix(target_, ".replaced");
  // A commit killed between its two renames: as if it had never begun.
  if (!taken(target_) && taken(replaced_)) rename_or_fail(replaced_, target_);
  if (taken(target_) && overwrite == Overwrite::kRefuse)
    fail("'{}' exists already; choose another output folder or replace it with --force",
         target_.string());
  if (taken(target_) && !fs::is_directory(fs::symlink_status(target_)))
    fail("'{}' is not a folder, so it is not replaced; choose another output folder",
         target_.string());
  if (start == Start::kResume && !fs::is_directory(partial_))
    fail("there is nothing to resume: no unfinished run in '{}'", partial_.string());
  if (start == Start::kFresh && taken(partial_)) {
    if (overwrite == Overwrite::kRefuse)
      fail("an unfinished run lies in '{}'; go on with --resume or start over with --force",
           partial_.string());
    if (fs::is_directory(partial_)) Lock check(partial_);
    remove_all_or_fail(partial_);
  }
  std::error_code error;
  fs::create_directories(partial_, error);
  if (error) fail("cannot create folder '{}': {}", partial_.string(), error.message());
  lock_ = std::make_shared<const Lock>(partial_);
  remove_temporaries(partial_);
}

void RunFolder::commit(std::span<const std::string> scratch) {
  if (taken(target_) && overwrite_ == Overwrite::kRefuse)
    fail("'{}' appeared while the run went on; its result stays in '{}'", target_.string(),
         partial_.string());
  flush_folder(partial_);
  if (taken(target_)) {
    remove_all_or_fail(replaced_);  // left by a commit that was killed while it cleaned up
    rename_or_fail(target_, replaced_);
  }
  rename_or_fail(partial_, target_);
  flush_folder(folder_of(target_));
  lock_.reset();
  for (const std::string& name : scratch) remove_all_or_fail(target_ / name);
  remove_all_or_fail(replaced_);
}

}  // namespace pace
