#include "base/html.h"

#include <string>

#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(EscapeHtml, Markup) {
  EXPECT_EQ(EscapeHtml("<img src=x onerror='a(\"b\")'> & c"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; c");
  EXPECT_EQ(EscapeHtml("Möbel →\n\t"), "Möbel →\n\t");
  EXPECT_EQ(EscapeHtml(std::string("a\0b\x1b", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

std::string Unescape(const std::string& text) {
  static constexpr std::pair<const char*, char> kEntities[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
  std::string plain;
  for (size_t i = 0; i < text.size();) {
    size_t taken = 0;
    for (const auto& [entity, c] : kEntities) {
      if (text.compare(i, std::string(entity).size(), entity) != 0) continue;
      plain += c;
      taken = std::string(entity).size();
    }
    if (taken == 0) {
      plain += text[i];
      taken = 1;
    }
    i += taken;
  }
  return plain;
}

TEST(EscapeHtml, NothingActiveIsLeftAndTheTextReadsBack) {
  NumpyRandomState random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int64_t i = random.RandInt(0, 40); i > 0; --i) {
      const bool special = random.RandInt(0, 2) == 1;
      text += special ? "&<>\"'#;a"[random.RandInt(0, 8)] : static_cast<char>(random.RandInt(32, 127));
    }
    const std::string escaped = EscapeHtml(text);
    EXPECT_EQ(escaped.find_first_of("<>\"'"), std::string::npos) << text;
    EXPECT_EQ(Unescape(escaped), text);
  }
}

TEST(DataUri, NamesItsTypeAndEncodesItsBytes) {
  EXPECT_EQ(DataUri("image/png", "Man"), "data:image/png;base64,TWFu");
  EXPECT_EQ(DataUri("text/plain", ""), "data:text/plain;base64,");
}

}  // namespace
}  // namespace manyform
