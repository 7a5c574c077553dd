#include "pace/data/text_dataset.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "pace/base/error.h"
#include "pace/data/table.h"
#include "pace/data/tokenizer.h"
#include "pace/io/json.h"

namespace pace {
namespace {

/// Where a table has what is needed.
struct Columns {
  size_t label = 0, first = 0;
  std::optional<size_t> second;
  size_t count = 0;
};

Columns find_columns(const std::vector<std::string>& header, const std::string& path) {
  Columns columns;
  columns.count = header.size();
  std::vector<size_t> labels, texts;
  for (size_t i = 0; i < header.size(); ++i) {
    const std::string& name = header[i];
    if (name == "label") {
      labels.push_back(i);
    } else if (name != "id" && name != "idx" && name != "index") {
      texts.push_back(i);
    }
  }
  if (labels.size() != 1 || texts.empty() || texts.size() > 2) {
    fail(
        "{}: the header line has {} column(s) named 'label' and {} others; one 'label' is needed, "
        "and one or two others with the text or the pair of texts",
        path, labels.size(), texts.size());
  }
  columns.label = labels[0];
  columns.first = texts[0];
  if (texts.size() == 2) columns.second = texts[1];
  return columns;
}

void check_line(const Line& line, const Columns& columns, const std::string& path) {
  line.check(columns.count, path);
  if (blank(line.fields[columns.label])) line.refuse("there is no label", path);
  if (blank(line.fields[columns.first]) ||
      (columns.second && blank(line.fields[*columns.second]))) {
    line.refuse("there is no text", path);
  }
}

std::optional<int64_t> as_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// By their numbers when all are numbers, otherwise by their names.
void sort_classes(std::vector<std::string>& classes) {
  const auto is_number = [](const std::string& name) { return as_number(name).has_value(); };
  if (std::all_of(classes.begin(), classes.end(), is_number)) {
    std::sort(classes.begin(), classes.end(), [](const std::string& a, const std::string& b) {
      return *as_number(a) < *as_number(b);
    });
  } else {
    std::sort(classes.begin(), classes.end());
  }
}

class TextTable : public Dataset {
 public:
  explicit TextTable(Table table) : path_(table.path()) {
    const std::optional<Line> header = table.next();
    if (!header) fail("{} is empty", path_);
    const Columns columns = find_columns(header->fields, path_);
    std::vector<std::string> labels;
    while (std::optional<Line> line = table.next()) {
      check_line(*line, columns, path_);
      Text text{std::move(line->fields[columns.first])};
      if (columns.second) text.second = std::move(line->fields[*columns.second]);
      texts_.push_back(std::move(text));
      labels.push_back(std::move(line->fields[columns.label]));
      lines_.push_back(line->number);
    }
    if (texts_.empty()) fail("{} has a header line and no texts", path_);
    number_labels(labels);
  }

  int64_t size() const override { return std::ssize(texts_); }
  Text text(int64_t index) const override { return texts_.at(static_cast<size_t>(index)); }
  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  std::string name(int64_t index) const override {
    return fmt::format("{}, line {}", path_, lines_.at(static_cast<size_t>(index)));
  }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  void number_labels(const std::vector<std::string>& labels) {
    std::map<std::string, int64_t> numbers;
    for (const std::string& label : labels) numbers.emplace(label, 0);
    for (const auto& [name, number] : numbers) classes_.push_back(name);
    if (classes_.size() < 2) {
      fail("{}: every text has the label '{}'; at least two classes are needed", path_,
           classes_.front());
    }
    sort_classes(classes_);
    for (size_t i = 0; i < classes_.size(); ++i) numbers[classes_[i]] = static_cast<int64_t>(i);
    for (const std::string& label : labels) labels_.push_back(numbers.at(label));
  }

  std::string path_;
  std::vector<Text> texts_;
  std::vector<int64_t> labels_, lines_;
  std::vector<std::string> classes_;
};

/// Texts without classes.
class Documents : public Dataset {
 public:
  explicit Documents(std::string path) : path_(std::move(path)) {}

  /// `line` is where it begins, 0 for the whole file.
  void add(std::string text, int64_t line) {
    texts_.push_back(std::move(text));
    lines_.push_back(line);
  }

  int64_t size() const override { return std::ssize(texts_); }
  Text text(int64_t index) const override { return {texts_.at(static_cast<size_t>(index))}; }
  int64_t label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override {
    const int64_t line = lines_.at(static_cast<size_t>(index));
    return line ? fmt::format("{}, line {}", path_, line) : path_;
  }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  std::string path_;
  std::vector<std::string> texts_;
  std::vector<int64_t> lines_;
  std::vector<std::string> classes_;  ///< none
};

/// Calls `take` with every line of a text and its number, from 1.
template <class Take>
void each_line(std::string_view text, const std::string& path, const Take& take) {
  int64_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (!is_utf8(line)) fail("{}, line {}: bytes that are no UTF-8", path, number);
    take(line, number);
    begin = end + 1;
  }
}

}  // namespace

std::shared_ptr<const Dataset> open_text(const fs::path& path) {
  std::string text = read_text(path);
  if (blank(text)) fail("{} holds no text", path.string());
  each_line(text, path.string(), [](std::string_view, int64_t) {});
  auto documents = std::make_shared<Documents>(path.string());
  documents->add(std::move(text), 0);
  return documents;
}

std::shared_ptr<const Dataset> open_jsonl(const fs::path& path) {
  auto documents = std::make_shared<Documents>(path.string());
  each_line(read_text(path), path.string(), [&](std::string_view line, int64_t number) {
    if (blank(line)) return;
    const std::string where = fmt::format("{}, line {}", path.string(), number);
    std::string text = string_field(parse_json(std::string(line), where), "text", where);
    if (blank(text)) fail("{}: the field 'text' holds no text", where);
    documents->add(std::move(text), number);
  });
  if (documents->size() == 0) fail("{} holds no text", path.string());
  return documents;
}

std::shared_ptr<const Dataset> open_tsv(const fs::path& path) {
  return std::make_shared<TextTable>(Table(path, '\t', false));
}

std::shared_ptr<const Dataset> open_csv(const fs::path& path) {
  return std::make_shared<TextTable>(Table(path, ',', true));
}

}  // namespace pace
