#include "pace/data/text_dataset.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "pace/base/error.h"
#include "pace/base/files.h"
#include "pace/data/tokenizer.h"

namespace pace {
namespace {

/// The fields of one line of a table, and where it stands in the file.
struct Line {
  std::vector<std::string> fields;
  int64_t number = 0;  ///< from 1
};

/// Reads a table line by line.
class Table {
 public:
  Table(const fs::path& path, char separator, bool quotes)
      : path_(path.string()), text_(read_text(path)), separator_(separator), quotes_(quotes) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  const std::string& path() const { return path_; }

  /// Nothing at the end.
  std::optional<Line> next() {
    if (at_ >= text_.size()) return std::nullopt;
    Line line{{}, number_};
    bool more = true;
    while (more) {
      line.fields.push_back(quotes_ && at_ < text_.size() && text_[at_] == '"' ? quoted(line.number)
                                                                               : plain());
      more = at_ < text_.size() && text_[at_] == separator_;
      if (more) ++at_;
    }
    end_line(line);
    return line;
  }

 private:
  std::string plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n') ++at_;
    size_t end = at_;
    const bool last = at_ == text_.size() || text_[at_] == '\n';
    if (last && end > begin && text_[end - 1] == '\r') --end;
    return text_.substr(begin, end - begin);
  }

  std::string quoted(int64_t number) {
    std::string field;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++number_;
      if (text_[at_] != '"') {
        field += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        field += text_[at_++];
      } else {
        ++at_;
        return field;
      }
    }
    fail("{}, line {}: a field begins with a double quote that never ends", path_, number);
  }

  void end_line(const Line& line) {
    if (text_.substr(at_, 2) == "\r\n") ++at_;
    if (at_ < text_.size() && text_[at_] != '\n') {
      fail("{}, line {}: text after the double quote that ends a field", path_, line.number);
    }
    ++at_;
    ++number_;
  }

  std::string path_, text_;
  char separator_;
  bool quotes_;
  size_t at_ = 0;
  int64_t number_ = 1;
};

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

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

void check_line(const Line& line, const Columns& columns, const std::string& path) {
  const auto refuse = [&](const std::string& what) {
    fail("{}, line {}: {}", path, line.number, what);
  };
  if (line.fields.size() == 1 && blank(line.fields[0])) refuse("the line is empty");
  if (line.fields.size() != columns.count) {
    refuse(fmt::format("{} field(s) where the header has {}", line.fields.size(), columns.count));
  }
  for (const std::string& field : line.fields) {
    if (!is_utf8(field)) refuse("bytes that are no UTF-8");
  }
  if (blank(line.fields[columns.label])) refuse("there is no label");
  if (blank(line.fields[columns.first]) ||
      (columns.second && blank(line.fields[*columns.second]))) {
    refuse("there is no text");
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

/// The end of the passage that begins at `begin`: with a line, or within a long one after a blank
/// or at least a whole character. A short rest of the text is no passage of its own.
size_t end_of_passage(std::string_view text, size_t begin) {
  constexpr size_t kShort = kPassage / 4, kLong = 2 * kPassage;
  if (text.size() - begin < kPassage + kShort) return text.size();
  const size_t line = text.find('\n', begin + kPassage - 1);
  if (line != std::string_view::npos && line - begin < kLong) return line + 1;
  if (text.size() - begin <= kLong) return text.size();
  const size_t gap = text.rfind(' ', begin + kLong - 1);
  if (gap != std::string_view::npos && gap >= begin + kPassage) return gap + 1;
  size_t end = begin + kLong;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

class PlainText : public Dataset {
 public:
  explicit PlainText(const fs::path& path) : path_(path.string()), text_(read_text(path)) {
    if (blank(text_)) fail("{} holds no text", path_);
    check_lines();
    int64_t line = 1;
    for (size_t begin = 0; begin < text_.size();) {
      const size_t end = end_of_passage(text_, begin);
      passages_.push_back({begin, end, line});
      line += std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                         text_.begin() + static_cast<std::ptrdiff_t>(end), '\n');
      begin = end;
    }
  }

  int64_t size() const override { return std::ssize(passages_); }
  Text text(int64_t index) const override {
    const Passage& passage = passages_.at(static_cast<size_t>(index));
    return {text_.substr(passage.begin, passage.end - passage.begin)};
  }
  int64_t label(int64_t) const override { return 0; }
  std::string name(int64_t index) const override {
    return fmt::format("{}, from line {}", path_, passages_.at(static_cast<size_t>(index)).line);
  }
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  void check_lines() const {
    int64_t number = 1;
    for (size_t begin = 0; begin < text_.size(); ++number) {
      const size_t end = std::min(text_.find('\n', begin), text_.size());
      if (!is_utf8(std::string_view(text_).substr(begin, end - begin))) {
        fail("{}, line {}: bytes that are no UTF-8", path_, number);
      }
      begin = end + 1;
    }
  }

  struct Passage {
    size_t begin = 0, end = 0;
    int64_t line = 0;  ///< its first, from 1
  };

  std::string path_, text_;
  std::vector<Passage> passages_;
  std::vector<std::string> classes_;  ///< none
};

}  // namespace

std::shared_ptr<const Dataset> open_text(const fs::path& path) {
  return std::make_shared<PlainText>(path);
}

std::shared_ptr<const Dataset> open_tsv(const fs::path& path) {
  return std::make_shared<TextTable>(Table(path, '\t', false));
}

std::shared_ptr<const Dataset> open_csv(const fs::path& path) {
  return std::make_shared<TextTable>(Table(path, ',', true));
}

}  // namespace pace
