#pragma once

#include <memory>

#include "pace/base/files.h"
#include "pace/data/dataset.h"
#include "pace/data/tokenizer.h"
#include "tests/temporary_folder.h"

namespace pace::words {

/// A vocabulary of a few words, as BERT has it.
inline const char* vocabulary() {
  return "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\nthe\na\nvery\nnot\n##ly\n.\n";
}

/// Texts whose class a word tells.
inline std::string table(int64_t texts) {
  std::string lines = "sentence\tlabel\n";
  for (int64_t i = 0; i < texts; ++i) {
    lines += i % 2 ? "a good film" : "the very very bad film";
    lines += i % 3 ? " .\t" : "\t";
    lines += i % 2 ? "1\n" : "0\n";
  }
  return lines;
}

/// They and their tokeniser, from files.
class Texts {
 public:
  explicit Texts(int64_t texts = 9) {
    write_text(folder_ / "vocab.txt", vocabulary());
    write_text(folder_ / "texts.tsv", table(texts));
    tokenizer_ = std::make_shared<const Tokenizer>(Tokenizer::open(folder_.path()));
    dataset_ = open_dataset("tsv:" + (folder_ / "texts.tsv").string());
  }
  std::shared_ptr<const Tokenizer> tokenizer() const { return tokenizer_; }
  std::shared_ptr<const Dataset> dataset() const { return dataset_; }

 private:
  TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace pace::words
