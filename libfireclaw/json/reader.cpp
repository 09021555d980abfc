#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <variant>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "sys/file.hpp"

namespace fireclaw::json {
namespace {

constexpr std::size_t deepest_nesting = 128;

// "line 3, column 7", both counted from one, columns in characters.
std::string describe_position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::string_view line = before.substr(before.rfind('\n') + 1);  // npos + 1 is the text's start
  const auto starts_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
  return fmt::format("line {}, column {}", lines + 1, std::count_if(line.begin(), line.end(), starts_character) + 1);
}

// What nlohmann says, without its name for the error, its position (which counts bytes), and the text that it has read,
// which can be long or secret.
std::string problem_of(std::string_view message) {
  for (const std::string_view mark : {" - ", "] "}) {
    if (const auto at = message.find(mark); at != std::string_view::npos) {
      message.remove_prefix(at + mark.size());
      break;
    }
  }
  const auto read = message.find("; last read: '");
  const auto expected = message.rfind("'; expected ");
  if (read == std::string_view::npos) return std::string{message};
  return fmt::format("{}{}", message.substr(0, read),
                     expected == std::string_view::npos ? std::string_view{} : message.substr(expected + 1));
}

bool is_plain_key(std::string_view key) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  return !key.empty() && std::all_of(key.begin(), key.end(), is_plain);
}

// A name from a document, fit for one line of an error message.
std::string in_quotes(std::string_view text) { return Writer{}.value(text).take(); }

}  // namespace

// How a container is reached. Apart from the nodes, so that a value keeps its path alive but not its siblings.
struct Value::Path {
  std::shared_ptr<const Path> parent;
  std::string key;  // the document's name if there is no parent
  std::optional<std::size_t> index;

  void append_to(std::string& text) const {
    if (!parent) {
      text += key;
      return;
    }
    parent->append_to(text);
    append_step(text, parent->parent == nullptr, key, index);
  }

  static void append_step(std::string& text, bool first, std::string_view key, std::optional<std::size_t> index) {
    if (first) text += ": ";
    if (index) {
      text += fmt::format("[{}]", *index);
    } else if (is_plain_key(key)) {
      if (!first) text += '.';
      text += key;
    } else {
      text += fmt::format("[{}]", in_quotes(key));
    }
  }
};

struct Value::Node {
  using Array = std::vector<Value>;
  using Object = std::map<std::string, Value, std::less<>>;

  std::shared_ptr<const Path> parent;  // the document itself for the outermost value
  std::string key;
  std::optional<std::size_t> index;
  bool outermost = false;
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data;
};

// Takes what nlohmann's parser tells, in order.
struct Builder {
  using Path = Value::Path;
  using Node = Value::Node;

  Builder(std::string_view text, std::string_view name)
      : text_{text}, document_{std::make_shared<const Path>(Path{nullptr, std::string{name}, std::nullopt})} {}

  Value build() {
    // The parser would pass over the one and take the other for the end.
    if (text_.starts_with("\xEF\xBB\xBF")) refuse(0, "a byte order mark");
    if (const auto at = text_.find('\0'); at != std::string_view::npos) refuse(at, "a NUL byte");
    if (text_.find_first_not_of(" \t\r\n") == std::string_view::npos) refuse("it is empty");
    nlohmann::json::sax_parse(text_.data(), text_.data() + text_.size(), this);
    return Value{std::move(root_)};
  }

  bool null() { return add({}); }
  bool boolean(bool flag) { return add(flag); }
  bool number_integer(std::int64_t number) { return add(number); }
  bool number_unsigned(std::uint64_t number) {
    return std::in_range<std::int64_t>(number) ? add(static_cast<std::int64_t>(number)) : add(number);
  }
  bool number_float(double number, const std::string& /*text*/) { return add(number); }
  bool string(std::string& text) { return add(std::move(text)); }
  bool binary(nlohmann::json::binary_t& /*bytes*/) { return false; }  // no JSON text has any
  bool start_object(std::size_t /*size*/) { return open(Node::Object{}); }
  bool start_array(std::size_t /*size*/) { return open(Node::Array{}); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& text) {
    const auto& inside = open_.back();
    if (std::get<Node::Object>(inside.node->data).contains(text)) {
      std::string where;
      inside.path->append_to(where);
      throw Error{ErrorCode::Corrupt, fmt::format("{}: duplicate key {}", where, in_quotes(text))};
    }
    key_ = std::move(text);
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*read*/, const nlohmann::json::exception& problem) {
    refuse(position - 1, problem_of(problem.what()));
  }

 private:
  struct Container {
    std::shared_ptr<Node> node;
    std::shared_ptr<const Path> path;
  };

  [[noreturn]] void refuse(std::string_view problem) const {
    throw Error{ErrorCode::Corrupt, fmt::format("{}: not valid JSON: {}", document_->key, problem)};
  }
  [[noreturn]] void refuse(std::size_t offset, std::string_view problem) const {
    refuse(fmt::format("{}: {}", describe_position(text_, offset), problem));
  }

  bool add(decltype(Node::data) data) {
    last_ = std::make_shared<Node>();
    last_->data = std::move(data);
    if (open_.empty()) {
      last_->parent = document_;
      last_->outermost = true;
      root_ = last_;
      return true;
    }
    const auto& inside = open_.back();
    last_->parent = inside.path;
    if (auto* array = std::get_if<Node::Array>(&inside.node->data)) {
      last_->index = array->size();
      array->push_back(Value{last_});
    } else {
      last_->key = key_;
      std::get<Node::Object>(inside.node->data).emplace(std::move(key_), Value{last_});
    }
    return true;
  }

  bool open(decltype(Node::data) container) {
    if (open_.size() == deepest_nesting) refuse(fmt::format("it is nested more than {} deep", deepest_nesting));
    add(std::move(container));
    open_.push_back({last_, last_->outermost
                                ? document_
                                : std::make_shared<const Path>(Path{last_->parent, last_->key, last_->index})});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  std::shared_ptr<const Path> document_;
  std::vector<Container> open_;
  std::string key_;
  std::shared_ptr<Node> last_;
  std::shared_ptr<const Node> root_;
};

Value Value::parse(std::string_view text, std::string_view name) { return Builder{text, name}.build(); }

Value Value::parse_file(const std::filesystem::path& path) { return parse(sys::read_file(path), path.string()); }

Value::Type Value::type() const {
  struct {
    Type operator()(std::monostate) const { return Type::Null; }
    Type operator()(bool) const { return Type::Bool; }
    Type operator()(std::int64_t) const { return Type::Number; }
    Type operator()(std::uint64_t) const { return Type::Number; }
    Type operator()(double) const { return Type::Number; }
    Type operator()(const std::string&) const { return Type::String; }
    Type operator()(const Node::Array&) const { return Type::Array; }
    Type operator()(const Node::Object&) const { return Type::Object; }
  } constexpr visitor;
  return std::visit(visitor, node_->data);
}

bool Value::as_bool() const {
  if (const auto* flag = std::get_if<bool>(&node_->data)) return *flag;
  fail("expected true or false");
}

bool Value::operator==(const Value& other) const { return node_->data == other.node_->data; }

bool Value::is_integer() const {
  return std::holds_alternative<std::int64_t>(node_->data) || std::holds_alternative<std::uint64_t>(node_->data);
}

std::int64_t Value::as_int() const {
  if (const auto* number = std::get_if<std::int64_t>(&node_->data)) return *number;
  if (type() == Type::Number) fail("expected an integer of at most 64 bits");
  fail("expected an integer");
}

std::uint64_t Value::as_uint() const {
  if (const auto* number = std::get_if<std::uint64_t>(&node_->data)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&node_->data); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  if (type() == Type::Number) fail("expected an integer from 0 to 2^64 - 1");
  fail("expected an integer");
}

double Value::as_double() const {
  if (const auto* number = std::get_if<double>(&node_->data)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&node_->data)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&node_->data)) return static_cast<double>(*number);
  fail("expected a number");
}

const std::string& Value::as_string() const {
  if (const auto* text = std::get_if<std::string>(&node_->data)) return *text;
  fail("expected a string");
}

const std::vector<Value>& Value::as_array() const {
  if (const auto* array = std::get_if<Node::Array>(&node_->data)) return *array;
  fail("expected an array");
}

const std::map<std::string, Value, std::less<>>& Value::as_object() const {
  if (const auto* object = std::get_if<Node::Object>(&node_->data)) return *object;
  fail("expected an object");
}

Value Value::at(std::string_view key) const {
  const auto& members = as_object();
  const auto found = members.find(key);
  if (found == members.end()) fail(fmt::format("missing key {}", in_quotes(key)));
  return found->second;
}

std::optional<Value> Value::find(std::string_view key) const {
  const auto& members = as_object();
  const auto found = members.find(key);
  if (found == members.end() || found->second.is_null()) return std::nullopt;
  return found->second;
}

void Value::only(std::initializer_list<std::string_view> allowed) const {
  for (const auto& [key, member] : as_object()) {
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      fail(fmt::format("unknown key {}", in_quotes(key)));
    }
  }
}

std::string Value::where() const {
  std::string text;
  node_->parent->append_to(text);
  if (!node_->outermost) Path::append_step(text, node_->parent->parent == nullptr, node_->key, node_->index);
  return text;
}

void Value::fail(std::string_view problem) const {
  throw Error{ErrorCode::Corrupt, fmt::format("{}: {}", where(), problem)};
}

}  // namespace fireclaw::json
