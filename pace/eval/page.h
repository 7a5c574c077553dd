#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// The frame of the report: one HTML page that needs nothing but itself.
namespace pace::page {

/// A whole document; `title` is escaped, `body` is HTML.
std::string document(std::string_view title, std::string_view body);

/// A heading, a paragraph of explanation (may be empty) and content. Texts are escaped, content is
/// HTML.
std::string section(std::string_view heading, std::string_view explanation,
                    std::string_view content);

/// Panels of which one is shown, chosen by labels above them. At most kMostTabs.
struct Tab {
  std::string label, content;
};
inline constexpr size_t kMostTabs = 12;
std::string tabs(std::span<const Tab> panels, size_t shown);

/// PNG bytes as the address of an <img>.
std::string png_address(std::span<const uint8_t> png);

}  // namespace pace::page
