#include "common/text/graphemes.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace fireclaw::cli;

namespace {

std::vector<std::string> clusters(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    all.emplace_back(text.substr(0, cluster_length(text)));
    text.remove_prefix(all.back().size());
  }
  return all;
}

}  // namespace

TEST_CASE("what people see as one character is one") {
  using Texts = std::vector<std::string>;
  CHECK(clusters("ab") == Texts{"a", "b"});
  CHECK(clusters("e\u0301x") == Texts{"e\u0301", "x"});
  CHECK(clusters("\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7\U0001F1E9") ==
        Texts{"\U0001F1E9\U0001F1EA", "\U0001F1EB\U0001F1F7", "\U0001F1E9"});
  CHECK(clusters("1\uFE0F\u20E32") == Texts{"1\uFE0F\u20E3", "2"});
  CHECK(clusters("\U0001F468\u200D\U0001F469\u200D\U0001F467\U0001F600") ==
        Texts{"\U0001F468\u200D\U0001F469\u200D\U0001F467", "\U0001F600"});
  CHECK(clusters("\U0001F3F4\U000E0067\U000E007F!") == Texts{"\U0001F3F4\U000E0067\U000E007F", "!"});
  CHECK(clusters("\u1112\u1161\u11AB\uAE00\uD55C\u11A8") == Texts{"\u1112\u1161\u11AB", "\uAE00", "\uD55C\u11A8"});
  CHECK(clusters("\u1100\u1100\uAC00\u11A8\uAE00") == Texts{"\u1100\u1100\uAC00\u11A8", "\uAE00"});
  CHECK(clusters("\u0915\u094D\u0937\u093F\u0915") == Texts{"\u0915\u094D\u0937\u093F", "\u0915"});
  CHECK(clusters("\u06001") == Texts{"\u06001"});
}

TEST_CASE("controls and bytes that are not UTF-8 stand alone") {
  using Texts = std::vector<std::string>;
  CHECK(clusters("\n\u0301").size() == 2);
  CHECK(clusters("a\xFF\xC3z") == Texts{"a", "\xFF", "\xC3", "z"});
  CHECK(cluster_length("") == 0);
}
