#include "pace/data/table.h"

#include "pace/base/error.h"
#include "pace/data/tokenizer.h"

namespace pace {

void Line::refuse(std::string_view what, const std::string& path) const {
  fail("{}, line {}: {}", path, number, what);
}

void Line::check(size_t count, const std::string& path) const {
  if (fields.size() == 1 && blank(fields[0])) refuse("the line is empty", path);
  if (fields.size() != count) {
    refuse(fmt::format("{} field(s) where the header has {}", fields.size(), count), path);
  }
  for (const std::string& field : fields) {
    if (!is_utf8(field)) refuse("bytes that are no UTF-8", path);
  }
}

Table::Table(const fs::path& path, char separator, bool quotes)
    : path_(path.string()), text_(read_text(path)), separator_(separator), quotes_(quotes) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
}

std::optional<Line> Table::next() {
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

std::string Table::plain() {
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n') ++at_;
  size_t end = at_;
  const bool last = at_ == text_.size() || text_[at_] == '\n';
  if (last && end > begin && text_[end - 1] == '\r') --end;
  return text_.substr(begin, end - begin);
}

std::string Table::quoted(int64_t number) {
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

void Table::end_line(const Line& line) {
  if (text_.substr(at_, 2) == "\r\n") ++at_;
  if (at_ < text_.size() && text_[at_] != '\n') {
    fail("{}, line {}: text after the double quote that ends a field", path_, line.number);
  }
  ++at_;
  ++number_;
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

}  // namespace pace
