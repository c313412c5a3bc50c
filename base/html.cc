#include "base/html.h"

#include "absl/strings/str_cat.h"
#include "base/png_writer.h"
#include "base/string_views.h"

namespace manyform {

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        const bool control = (byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7f;
        if (control) {
          escaped += "\xEF\xBF\xBD";
        } else {
          escaped += c;
        }
      }
    }
  }
  return escaped;
}

std::string DataUri(std::string_view media_type, const std::string& bytes) {
  return absl::StrCat("data:", ToAbsl(media_type), ";base64,", Base64(bytes));
}

}  // namespace manyform
