/// \file
/// Text and pictures inside a page that stands alone.
#pragma once

#include <string>
#include <string_view>

namespace manyform {

/// Safe as text and inside a quoted attribute: & < > " ' become entities, control characters that HTML does
/// not allow become U+FFFD. Bytes >= 0x80 pass through (pages are UTF-8).
std::string EscapeHtml(std::string_view text);

/// "data:image/png;base64,..." for src and href.
std::string DataUri(std::string_view media_type, const std::string& bytes);

}  // namespace manyform
