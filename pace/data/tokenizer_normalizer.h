#pragma once

#include <string>
#include <vector>

#include "pace/io/json.h"

namespace pace {

/// What is done to a text before it is split into words.
class Normalizer {
 public:
  /// From the section `normalizer` of a tokenizer.json; null leaves texts as they are. Throws Error
  /// naming `where` and the field for what is not supported.
  Normalizer(const json& config, const std::string& where);

  void operator()(std::u32string& text) const;

 private:
  enum class Step {
    kClean,            ///< control characters go, white space becomes blanks
    kSpaceIdeographs,  ///< a blank on either side
    kDecompose,
    kCompose,
    kDropAccents,
    kDropMarks,
    kLowercase,
    kPrepend,  ///< put before a text that is not empty
    kReplace
  };
  struct Action {
    Step step;
    std::u32string from = {}, to = {};  ///< of kReplace; of kPrepend only `to`
  };
  void add(const json& config, const std::string& where);
  void add_replace(const json& config, const std::string& where);
  void add_bert(const json& config, const std::string& where);

  std::vector<Action> actions_;
};

}  // namespace pace
