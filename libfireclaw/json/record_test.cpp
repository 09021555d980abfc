#include "json/record.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

enum class Ripeness { Green, Ripe };
std::string_view to_string(Ripeness ripeness) { return ripeness == Ripeness::Ripe ? "ripe" : "green"; }

struct Pear {
  std::string name;
  Ripeness ripeness = Ripeness::Green;
  std::uint8_t seeds = 0;
  std::optional<unsigned> weight;
  std::vector<std::string> colours;
  std::chrono::system_clock::time_point picked;
  bool rotten = false;
  std::string tree = "unknown";
  std::optional<sys::ProcessId> picker;

  bool operator==(const Pear&) const = default;
};

void describe(auto& field, json::Is<Pear> auto& pear) {
  field.schema(1);
  field("name", pear.name);
  field.choice("ripeness", pear.ripeness, std::array{Ripeness::Green, Ripeness::Ripe}, "unknown ripeness");
  field("seeds", pear.seeds);
  field("weight", pear.weight);
  field("colours", pear.colours);
  field("picked_ms", pear.picked);
  field.rare("rotten", pear.rotten, false);
  field.later("tree", pear.tree);
  field("picker", pear.picker);
}

Pear alice() {
  Pear pear;
  pear.name = "Alice";
  pear.ripeness = Ripeness::Ripe;
  pear.seeds = 7;
  pear.colours = {"green", "red"};
  pear.picked = std::chrono::system_clock::time_point{std::chrono::milliseconds{1234}};
  return pear;
}

json::Value parsed(std::string_view text) { return json::Value::parse(text, "pear.json"); }

std::string problem_of(std::string_view text) {
  try {
    static_cast<void>(json::read_whole_record<Pear>(parsed(text)));
  } catch (const Error& problem) {
    CHECK(problem.code() == ErrorCode::Corrupt);
    return problem.what();
  }
  return "none";
}

constexpr std::string_view least = R"({"schema": 1, "name": "A", "ripeness": "ripe", "seeds": 1, "colours": [],
                                       "picked_ms": 0)";

std::string with(std::string_view more) { return std::string{least} + std::string{more} + "}"; }

}  // namespace

TEST_CASE("what was written is read as it was") {
  auto pear = alice();
  CHECK(json::read_record<Pear>(parsed(json::record_text(pear))) == pear);
  pear.weight = 250;
  pear.rotten = true;
  pear.tree = "old";
  pear.picker = sys::ProcessId{4711, 99};
  CHECK(json::read_whole_record<Pear>(parsed(json::record_text(pear))) == pear);
}

TEST_CASE("what has no value, and what is as usual, is not written") {
  const auto text = json::record_text(alice());
  const auto written = parsed(text);
  CHECK_FALSE(written.find("weight"));
  CHECK_FALSE(written.find("picker"));
  CHECK_FALSE(written.find("rotten"));
  CHECK(written.at("schema").as_uint() == 1);
  CHECK(written.at("picked_ms").as_int() == 1234);
}

TEST_CASE("a file of an earlier version has the default of what came later") {
  const auto pear = json::read_record<Pear>(parsed(with("")));
  CHECK(pear.tree == "unknown");
  CHECK_FALSE(pear.rotten);
}

TEST_CASE("what is wrong with a record is said with the member's name") {
  CHECK(problem_of(with("")) == "none");
  CHECK(problem_of(with(R"(, "odd": 1)")) == "pear.json: unknown key \"odd\"");
  CHECK(problem_of(with(R"(, "weight": "heavy")")) == "pear.json: weight: expected an integer");
  CHECK(problem_of(R"({"schema": 2})") == "pear.json: schema: this fireclaw reads schema 1, the file has 2");
  CHECK(problem_of(R"({"schema": 1})") == "pear.json: missing key \"name\"");
  CHECK(problem_of(R"({"schema": 1, "name": "A", "ripeness": "blue"})") == "pear.json: ripeness: unknown ripeness");
}

TEST_CASE("a number that does not fit its member is refused, not cut") {
  CHECK(problem_of(R"({"schema": 1, "name": "A", "ripeness": "ripe", "seeds": 256})") ==
        "pear.json: seeds: must be at most 255");
  CHECK(problem_of(with(R"(, "weight": 4294967296)")) == "pear.json: weight: must be at most 4294967295");
}

TEST_CASE("other keys are passed over where the reader does not own the file alone") {
  CHECK(json::read_record<Pear>(parsed(with(R"(, "odd": 1)"))).name == "A");
}
