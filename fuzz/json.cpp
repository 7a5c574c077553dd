#include "pace/io/json.h"

#include <functional>

#include "fuzz/check.h"
#include "pace/base/error.h"

namespace {

void try_field(const std::function<void()>& read) {
  try {
    read();
  } catch (const pace::Error&) {
    // A field of another type.
  }
}

void read_fields(const pace::json& object) {
  using namespace pace;
  for (const auto& [name, value] : object.items()) {
    describe(value);
    try_field([&, &field = name] { integer_field(object, field, "input"); });
    try_field([&, &field = name] { number_field(object, field, "input", 1.0); });
    try_field([&, &field = name] { bool_field(object, field, "input", false); });
    try_field([&, &field = name] { string_field(object, field, "input"); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const pace::json document = pace::parse_json(text, "input");
    if (document.is_object()) read_fields(document);
    check(pace::parse_json(pace::json_text(document, "output"), "output") == document);
  } catch (const pace::Error&) {
    // Refusing is right; crashing, or any other exception, is not.
  }
  return 0;
}
