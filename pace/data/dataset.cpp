#include "pace/data/dataset.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "pace/base/error.h"
#include "pace/base/random.h"
#include "pace/data/speech_dataset.h"
#include "pace/data/text_dataset.h"
#include "pace/io/idx.h"

namespace pace {
namespace {

/// What begins with a dot is not meant to be seen (".ipynb_checkpoints", macOS's "._photo.jpg").
bool hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

/// What the folders of classes hold.
struct Kind {
  const char* name;   ///< of the dataset
  const char* files;  ///< in messages
  std::set<std::string> extensions;
};

bool is_of(const Kind& kind, const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return kind.extensions.contains(extension);
}

/// The files below `folder`, sorted, so that their order does not depend on the file system.
std::vector<fs::path> files_below(const fs::path& folder, const Kind& kind) {
  std::vector<fs::path> found;
  const auto follow = fs::directory_options::follow_directory_symlink;
  for (auto it = fs::recursive_directory_iterator(folder, follow);
       it != fs::recursive_directory_iterator(); ++it) {
    if (hidden(it->path())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && is_of(kind, it->path())) {
      found.push_back(it->path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// A folder of files for each class.
class ClassFolders : public Dataset {
 public:
  ClassFolders(const fs::path& root, const Kind& kind) {
    if (!fs::exists(root)) fail("there is no folder {}", root.string());
    if (!fs::is_directory(root)) {
      fail("{} is not a folder; {}: takes a folder with a folder per class", root.string(),
           kind.name);
    }
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(root)) {
      if (entry.is_directory() && !hidden(entry.path())) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    if (folders.size() < 2) {
      fail("{} has {} folders of classes; {}: needs at least two, each with {} files",
           root.string(), folders.size(), kind.name, kind.files);
    }
    for (const auto& folder : folders) add_class(folder, kind);
  }

  int64_t size() const override { return static_cast<int64_t>(paths_.size()); }
  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  std::string name(int64_t index) const override { return path(index).string(); }
  const std::vector<std::string>& classes() const override { return classes_; }

 protected:
  const fs::path& path(int64_t index) const { return paths_.at(static_cast<size_t>(index)); }

 private:
  void add_class(const fs::path& folder, const Kind& kind) {
    const auto files = files_below(folder, kind);
    if (files.empty()) {
      fail("{} holds no {} files; every folder of a class needs some", folder.string(), kind.files);
    }
    paths_.insert(paths_.end(), files.begin(), files.end());
    labels_.insert(labels_.end(), files.size(), static_cast<int64_t>(classes_.size()));
    classes_.push_back(folder.filename().string());
  }

  std::vector<fs::path> paths_;
  std::vector<int64_t> labels_;
  std::vector<std::string> classes_;
};

class ImageFolder : public ClassFolders {
 public:
  explicit ImageFolder(const fs::path& root)
      : ClassFolders(root, {"images", "JPEG or PNG", {".jpg", ".jpeg", ".png"}}) {}
  Image image(int64_t index) const override { return load_image(path(index)); }
};

class AudioFolder : public ClassFolders {
 public:
  explicit AudioFolder(const fs::path& root)
      : ClassFolders(root, {"audio", "WAV or FLAC", {".wav", ".flac"}}) {}
  Audio audio(int64_t index) const override { return load_audio(path(index)); }
};

class IdxDataset : public Dataset {
 public:
  explicit IdxDataset(const std::string& prefix) : prefix_(prefix) {
    const fs::path image_path = existing(prefix + "-images-idx3-ubyte");
    const fs::path label_path = existing(prefix + "-labels-idx1-ubyte");
    images_ = load_idx(image_path).contiguous();
    labels_ = load_idx(label_path).contiguous();
    if (images_.dim() != 3) {
      fail("{} has {} dimensions; pictures have 3 (count, height, width)", image_path.string(),
           images_.dim());
    }
    if (labels_.dim() != 1) {
      fail("{} has {} dimensions; labels have 1", label_path.string(), labels_.dim());
    }
    if (images_.size(0) != labels_.size(0)) {
      fail("{} has {} pictures, but {} has {} labels", image_path.string(), images_.size(0),
           label_path.string(), labels_.size(0));
    }
    if (images_.numel() == 0) fail("{} holds no pictures", image_path.string());
    name_classes(label_path);
  }

  int64_t size() const override { return labels_.size(0); }
  /// A view into the file's data.
  Image image(int64_t index) const override { return images_[index].unsqueeze(-1); }
  int64_t label(int64_t index) const override {
    TORCH_CHECK_INDEX(index >= 0 && index < size(), "no example ", index);
    return labels_.const_data_ptr<uint8_t>()[index];
  }
  std::string name(int64_t index) const override { return fmt::format("{} #{}", prefix_, index); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  static fs::path existing(const std::string& path) {
    if (fs::exists(path)) return path;
    if (fs::exists(path + ".gz")) return path + ".gz";
    fail("there is neither {} nor {}.gz", path, path);
  }

  void name_classes(const fs::path& label_path) {
    const uint8_t* label = labels_.const_data_ptr<uint8_t>();
    const std::set<uint8_t> present(label, label + labels_.size(0));
    if (present.size() < 2) {
      fail("{} has only the label {}; at least two classes are needed", label_path.string(),
           *present.begin());
    }
    for (int i = 0; i <= *present.rbegin(); ++i) classes_.push_back(std::to_string(i));
  }

  std::string prefix_;
  at::Tensor images_, labels_;
  std::vector<std::string> classes_;
};

class Subset : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {
    for (const int64_t index : indices_) {
      if (index < 0 || index >= whole_->size()) {
        fail("there is no example {} in a dataset of {}", index, whole_->size());
      }
    }
  }

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Image image(int64_t index) const override { return whole_->image(at(index)); }
  Audio audio(int64_t index) const override { return whole_->audio(at(index)); }
  Text text(int64_t index) const override { return whole_->text(at(index)); }
  TokenSequence sequence(int64_t index) const override { return whole_->sequence(at(index)); }
  int64_t label(int64_t index) const override { return whole_->label(at(index)); }
  std::string name(int64_t index) const override { return whole_->name(at(index)); }
  const std::vector<std::string>& classes() const override { return whole_->classes(); }

 private:
  int64_t at(int64_t index) const { return indices_.at(static_cast<size_t>(index)); }

  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

/// How many of each class to hold out: proportional shares, rounded by largest remainder.
std::vector<int64_t> shares(const std::vector<std::vector<int64_t>>& members, int64_t held_out,
                            int64_t total) {
  std::vector<int64_t> share;
  std::vector<std::pair<int64_t, size_t>>
      remainders;  // negated, so that sorting puts large ones first
  int64_t given = 0;
  for (const auto& of_class : members) {
    const int64_t exact = held_out * static_cast<int64_t>(of_class.size());
    remainders.emplace_back(-(exact % total), share.size());
    share.push_back(exact / total);
    given += share.back();
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t i = 0; given < held_out; ++i, ++given) ++share[remainders[i].second];
  return share;
}

}  // namespace

Image Dataset::image(int64_t index) const {
  fail("{} is no picture; the model looks at pictures", name(index));
}

Text Dataset::text(int64_t index) const {
  fail("{} is no text; the model reads text", name(index));
}

Audio Dataset::audio(int64_t index) const {
  fail("{} is no sound; the model listens to sounds", name(index));
}

TokenSequence Dataset::sequence(int64_t index) const {
  fail("{} is no sequence of tokens; a language model learns from text:FILE or jsonl:FILE",
       name(index));
}

std::shared_ptr<const Dataset> open_dataset(const std::string& spec) {
  const auto colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const std::string path = colon == std::string::npos ? "" : spec.substr(colon + 1);
  static const std::set<std::string> kKinds{"images", "idx", "audio", "speech",
                                            "tsv",    "csv", "text",  "jsonl"};
  if (path.empty() || !kKinds.contains(kind)) {
    throw UsageError(fmt::format(
        "'{}' names no dataset; give images:DIR (a folder per class of JPEG and PNG files), "
        "idx:PREFIX (PREFIX-images-idx3-ubyte and PREFIX-labels-idx1-ubyte, or .gz), audio:DIR (a "
        "folder per class of WAV and FLAC files), speech:PATH (a table or folder of sounds with "
        "what "
        "is said in them), tsv:FILE or "
        "csv:FILE (a header with the column 'label', and a text or a pair per line), text:FILE "
        "(plain text) or jsonl:FILE (an object with the field 'text' per line)",
        spec));
  }
  try {
    if (kind == "tsv") return open_tsv(path);
    if (kind == "csv") return open_csv(path);
    if (kind == "text") return open_text(path);
    if (kind == "jsonl") return open_jsonl(path);
    if (kind == "speech") return open_speech(path);
    if (kind == "idx") return std::make_shared<IdxDataset>(path);
    if (kind == "audio") return std::make_shared<AudioFolder>(path);
    return std::make_shared<ImageFolder>(path);
  } catch (const fs::filesystem_error& error) {
    fail("cannot read the dataset {}: {}", spec, error.what());
  }
}

std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                      std::vector<int64_t> indices) {
  return std::make_shared<Subset>(std::move(dataset), std::move(indices));
}

std::pair<std::shared_ptr<const Dataset>, std::shared_ptr<const Dataset>> split(
    std::shared_ptr<const Dataset> dataset, int64_t held_out, uint64_t seed) {
  const int64_t total = dataset->size();
  if (held_out < 0 || held_out >= total) {
    fail("cannot hold out {} of {} examples; hold out at least 0 and fewer than all", held_out,
         total);
  }
  std::vector<std::vector<int64_t>> members(std::max<size_t>(1, dataset->classes().size()));
  for (int64_t i = 0; i < total; ++i) members[static_cast<size_t>(dataset->label(i))].push_back(i);
  const auto share = shares(members, held_out, total);
  std::vector<int64_t> rest, held;
  for (size_t c = 0; c < members.size(); ++c) {
    auto random = random_for({seed, c});
    std::shuffle(members[c].begin(), members[c].end(), random);
    const auto border = members[c].begin() + share[c];
    held.insert(held.end(), members[c].begin(), border);
    rest.insert(rest.end(), border, members[c].end());
  }
  std::sort(rest.begin(), rest.end());
  std::sort(held.begin(), held.end());
  return {subset(dataset, std::move(rest)), subset(dataset, std::move(held))};
}

void report_broken(const Dataset& dataset, int threads, Reporter& reporter) {
  const int64_t total = dataset.size();
  reporter.start("looking for broken pictures", total);
  std::atomic<int64_t> next = 0, done = 0;
  std::mutex mutex;
  std::map<int64_t, std::string> broken;
  const auto read_next = [&] {
    const int64_t index = next++;
    if (index >= total) return false;
    try {
      dataset.image(index);
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      broken[index] = error.what();
    }
    ++done;
    return true;
  };
  {
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads; ++i)
      helpers.emplace_back([&] {
        while (read_next()) {
        }
      });
    while (read_next()) reporter.advance(done);  // the reporter belongs to the caller's thread
  }
  reporter.finish();
  if (broken.empty()) {
    fail("a picture could not be read, but now all {} can: is the storage reliable?", total);
  }
  std::string list;
  for (const auto& [index, message] : broken) list += "\n  " + message;
  fail(
      "{} of {} pictures are broken; repair or remove them, or leave them out with "
      "--skip-broken:{}",
      broken.size(), total, list);
}

}  // namespace pace
