#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "json/json.hpp"

using fireclaw::Error;
using fireclaw::ErrorCode;
using fireclaw::utf8_length;
using fireclaw::json::Value;
using fireclaw::json::Writer;

namespace {

const std::string replacement = "\xEF\xBF\xBD";

std::string written(std::string_view text) { return Writer{}.value(text).take(); }

template <typename F>
void check_misuse(F action) {
  try {
    action();
    FAIL("no error was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Internal);
  }
}

// UTF-8 by its definition: the text that decodes to a scalar value and encodes back to the same bytes.
bool is_utf8_by_definition(const std::string& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  std::uint32_t code = 0;
  if (text.size() == 1) code = byte(0);
  if (text.size() == 2) code = ((byte(0) & 0x1F) << 6) | (byte(1) & 0x3F);
  if (text.size() == 3) code = ((byte(0) & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
  if (text.size() == 4) {
    code = ((byte(0) & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F);
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  std::string encoded;
  const auto put = [&](std::uint32_t value) { encoded += static_cast<char>(value); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
  return encoded == text;
}

}  // namespace

TEST_CASE("a document is written compactly") {
  Writer writer;
  writer.begin_object()
      .field("name", "vm")
      .field("count", 3)
      .field("big", std::uint64_t{18446744073709551615U})
      .field("small", std::numeric_limits<std::int64_t>::min())
      .field("size", 7U)
      .field("on", true)
      .field("off", false);
  writer.key("none").null();
  writer.key("list").begin_array().value(1).begin_array().end_array().value("x").begin_object().end_object();
  writer.end_array().end_object();
  CHECK(writer.take() ==
        R"({"name":"vm","count":3,"big":18446744073709551615,"small":-9223372036854775808,"size":7,"on":true,)"
        R"("off":false,"none":null,"list":[1,[],"x",{}]})");
}

TEST_CASE("a pretty document is indented by two spaces and ends with a newline") {
  Writer writer{Writer::Style::Pretty};
  writer.begin_object().field("a", 1);
  writer.key("list").begin_array().value(1).value(2).end_array();
  writer.key("empty").begin_array().end_array();
  writer.key("object").begin_object().field("b", std::string{"c"}).end_object();
  writer.key("nothing").begin_object().end_object();
  writer.end_object();
  CHECK(writer.take() == R"({
  "a": 1,
  "list": [
    1,
    2
  ],
  "empty": [],
  "object": {
    "b": "c"
  },
  "nothing": {}
}
)");
  CHECK(Writer{Writer::Style::Pretty}.null().take() == "null\n");
}

TEST_CASE("strings and keys are escaped") {
  CHECK(written("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(written("\b\f\n\r\t") == R"("\b\f\n\r\t")");
  CHECK(written(std::string_view{"\0\x01\x1f\x7f", 4}) == "\"\\u0000\\u0001\\u001f\x7f\"");
  CHECK(written("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
  Writer writer;
  writer.begin_object().field("a\"\n\xff", 1).end_object();
  CHECK(writer.take() == "{\"a\\\"\\n" + replacement + "\":1}");
}

TEST_CASE("bytes that are not UTF-8 become replacement characters") {
  CHECK(written("a\xff"
                "b") == "\"a" + replacement + "b\"");
  CHECK(written("\x80") == "\"" + replacement + "\"");
  CHECK(written("\xC3") == "\"" + replacement + "\"");
  CHECK(written("\xC3(") == "\"" + replacement + "(\"");
  CHECK(written("\xE2\x82\"") == "\"" + replacement + replacement + "\\\"\"");
  CHECK(written("\xED\xA0\x80") == "\"" + replacement + replacement + replacement + "\"");
}

TEST_CASE("UTF-8 is recognised exactly") {
  // All of one and two bytes; of three and four, the ones around every border.
  std::string text(1, '\0');
  for (int a = 0; a < 256; ++a) {
    text.assign(1, static_cast<char>(a));
    REQUIRE((utf8_length(text) == 1) == is_utf8_by_definition(text));
    for (int b = 0; b < 256; ++b) {
      text.assign({static_cast<char>(a), static_cast<char>(b)});
      if (a >= 0x80) REQUIRE((utf8_length(text) == 2) == is_utf8_by_definition(text));
      for (const int c : {0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF}) {
        text.assign({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)});
        if (a >= 0xE0 && a < 0xF0) REQUIRE((utf8_length(text) == 3) == is_utf8_by_definition(text));
        for (const int d : {0x7F, 0x80, 0xBF, 0xC0}) {
          text.assign({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)});
          if (a >= 0xF0) REQUIRE((utf8_length(text) == 4) == is_utf8_by_definition(text));
        }
      }
    }
  }
  CHECK(utf8_length("") == 0);
}

TEST_CASE("doubles are written shortest, read back the same and stay doubles") {
  const auto text = [](double number) { return Writer{}.value(number).take(); };
  CHECK(text(0.1) == "0.1");
  CHECK(text(5) == "5.0");
  CHECK(text(-0.0) == "-0.0");
  CHECK(text(1e300) == "1e+300");
  CHECK(text(1e20) == "1e+20");
  CHECK(text(123456789012345680000.0) == "123456789012345683968.0");
  std::mt19937_64 random{3};
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t bits = random();
    double number = 0;
    static_assert(sizeof number == sizeof bits);
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    REQUIRE(Value::parse(text(number), "number").as_double() == number);
  }
  for (const double number : {std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(),
                              std::numeric_limits<double>::min(), std::numeric_limits<double>::denorm_min()}) {
    CHECK(Value::parse(text(number), "number").as_double() == number);
  }
}

TEST_CASE("misuse is an internal error") {
  check_misuse([] { Writer{}.take(); });
  check_misuse([] { Writer{}.begin_object().take(); });
  check_misuse([] { Writer{}.value(1).value(2); });
  check_misuse([] { Writer{}.begin_array().end_array().begin_array(); });
  check_misuse([] { Writer{}.key("a"); });
  check_misuse([] { Writer{}.begin_array().key("a"); });
  check_misuse([] { Writer{}.begin_object().value(1); });
  check_misuse([] { Writer{}.begin_object().begin_array(); });
  check_misuse([] { Writer{}.begin_object().key("a").key("b"); });
  check_misuse([] { Writer{}.begin_object().key("a").end_object(); });
  check_misuse([] { Writer{}.begin_object().end_array(); });
  check_misuse([] { Writer{}.begin_array().end_object(); });
  check_misuse([] { Writer{}.end_array(); });
  check_misuse([] { Writer{}.value(std::numeric_limits<double>::quiet_NaN()); });
  check_misuse([] { Writer{}.value(std::numeric_limits<double>::infinity()); });
}

TEST_CASE("a writer starts again after its text was taken") {
  Writer writer;
  CHECK(writer.value(1).take() == "1");
  CHECK(writer.begin_array().value(2).end_array().take() == "[2]");
}

TEST_CASE("a value that was read is written with all in it") {
  const std::string text = R"({"a":[1,-2,18446744073709551615,0.5,true,null,"x\"y"],"b":{"c":{},"d":[]}})";
  CHECK(Writer{}.value(Value::parse(text, "test")).take() == text);
}

TEST_CASE("values are equal by their content") {
  const auto value = [](std::string_view text) { return Value::parse(text, "test"); };
  CHECK(value(R"({"a": [1, {"b": null}]})") == value(R"({ "a":[1,{"b":null}]})"));
  CHECK_FALSE(value("[1]") == value("[2]"));
  CHECK_FALSE(value("1") == value("\"1\""));
  CHECK(value(R"({"x": {"a": 1}})").at("x") == value(R"({"a": 1})"));
}
