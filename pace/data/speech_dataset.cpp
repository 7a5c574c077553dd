#include "pace/data/speech_dataset.h"

#include <algorithm>
#include <fstream>

#include "pace/base/error.h"
#include "pace/data/table.h"
#include "pace/data/tokenizer.h"

namespace pace {
namespace {

class Speech : public Dataset {
 public:
  void add(fs::path sound, std::string said) {
    sounds_.push_back(std::move(sound));
    said_.push_back(std::move(said));
  }

  int64_t size() const override { return std::ssize(sounds_); }
  Audio audio(int64_t index) const override { return load_audio(sound(index)); }
  Text text(int64_t index) const override {
    return {said_.at(static_cast<size_t>(index)), std::nullopt};
  }
  int64_t label(int64_t /*index*/) const override { return 0; }
  std::string name(int64_t index) const override { return sound(index).string(); }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  const fs::path& sound(int64_t index) const { return sounds_.at(static_cast<size_t>(index)); }

  std::vector<fs::path> sounds_;
  std::vector<std::string> said_;
  std::vector<std::string> classes_;  ///< none
};

/// The first of the paths that exists, or nothing.
std::optional<fs::path> first_of(const std::vector<fs::path>& paths) {
  const auto found = std::ranges::find_if(paths, [](const fs::path& p) { return fs::exists(p); });
  return found == paths.end() ? std::nullopt : std::optional(*found);
}

size_t column(const std::vector<std::string>& header, const std::string& name,
              const std::string& other, const std::string& path) {
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] == name || header[i] == other) return i;
  }
  fail("{}: the header line has neither a column '{}' nor '{}'", path, name, other);
}

void add_table(const fs::path& path, Speech& speech) {
  Table table(path, '\t', false);
  const std::optional<Line> header = table.next();
  if (!header) fail("{} is empty", table.path());
  const size_t file = column(header->fields, "file", "path", table.path());
  const size_t said = column(header->fields, "text", "sentence", table.path());
  const fs::path folder = path.parent_path();
  while (std::optional<Line> line = table.next()) {
    line->check(header->fields.size(), table.path());
    const std::string& name = line->fields[file];
    const auto sound = first_of({folder / name, folder / "clips" / name});
    if (blank(name) || !sound) {
      line->refuse(fmt::format("there is no sound '{}'", name), table.path());
    }
    if (blank(line->fields[said])) line->refuse("there is no text", table.path());
    speech.add(*sound, line->fields[said]);
  }
}

void add_transcripts(const fs::path& path, Speech& speech) {
  std::ifstream file(path);
  if (!file) fail("cannot read {}", path.string());
  Line line;
  for (std::string text; std::getline(file, text);) {
    ++line.number;
    if (text.ends_with('\r')) text.pop_back();
    const size_t space = text.find(' ');
    const std::string name = text.substr(0, space);
    if (!is_utf8(text)) line.refuse("bytes that are no UTF-8", path.string());
    if (space == std::string::npos || blank(text.substr(space))) {
      line.refuse("there is no text behind the name of a sound", path.string());
    }
    const fs::path sound = path.parent_path() / name;
    const auto found = first_of({sound.string() + ".flac", sound.string() + ".wav"});
    if (!found) {
      line.refuse(fmt::format("there is neither {0}.flac nor {0}.wav", name), path.string());
    }
    speech.add(*found, text.substr(space + 1));
  }
}

void add_folder(const fs::path& folder, Speech& speech) {
  std::vector<fs::path> transcripts;
  const auto follow = fs::directory_options::follow_directory_symlink;
  for (const auto& entry : fs::recursive_directory_iterator(folder, follow)) {
    if (entry.path().string().ends_with(".trans.txt")) transcripts.push_back(entry.path());
  }
  if (transcripts.empty()) {
    fail("{} holds no NAME.trans.txt, which say what is said in the sounds beside them",
         folder.string());
  }
  std::ranges::sort(transcripts);
  for (const fs::path& path : transcripts) add_transcripts(path, speech);
}

}  // namespace

std::shared_ptr<const Dataset> open_speech(const fs::path& path) {
  auto speech = std::make_shared<Speech>();
  if (fs::is_directory(path)) {
    add_folder(path, *speech);
  } else {
    add_table(path, *speech);
  }
  if (speech->size() == 0) fail("{} names no sounds", path.string());
  return speech;
}

}  // namespace pace
