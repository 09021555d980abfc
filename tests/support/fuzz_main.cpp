// Runs a fuzz target without a fuzzing engine: over every file of a corpus and every line of what fuzzing found
// (tests/fuzz/fuzz.py), and over a fixed number of mutations of each, the same ones every time.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int mutations_per_file = 2000;
/// There are many lines, and each is a mutation already.
constexpr int mutations_per_line = 20;

void run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

std::size_t below(std::mt19937& random, std::size_t limit) {
  return std::uniform_int_distribution<std::size_t>{0, limit - 1}(random);
}

void mutate(Bytes& bytes, std::mt19937& random) {
  const std::size_t edits = 1 + below(random, 4);
  for (std::size_t edit = 0; edit < edits; ++edit) {
    if (bytes.empty()) {
      bytes.push_back(static_cast<std::uint8_t>(below(random, 256)));
      continue;
    }
    const std::size_t at = below(random, bytes.size());
    const auto where = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(random, 6)) {
      case 0: bytes[at] = static_cast<std::uint8_t>(below(random, 256)); break;
      case 1: bytes[at] ^= static_cast<std::uint8_t>(1U << below(random, 8)); break;
      case 2: bytes.insert(where, static_cast<std::uint8_t>(below(random, 256))); break;
      case 3: bytes.erase(where); break;
      case 4: bytes.resize(at); break;
      default: {
        const Bytes copy(where, bytes.end());
        bytes.insert(bytes.end(), copy.begin(), copy.end());
        break;
      }
    }
  }
}

void run_with_mutations(const Bytes& input, int mutations) {
  run(input);
  std::mt19937 random{42};
  for (int i = 0; i < mutations; ++i) {
    Bytes mutated = input;
    mutate(mutated, random);
    run(mutated);
  }
}

/// The bytes that a line stands for: \xNN, \n, \r, \t and \\ are one byte each.
Bytes unescaped(const std::string& line) {
  Bytes bytes;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '\\') {
      bytes.push_back(static_cast<std::uint8_t>(line[at]));
      continue;
    }
    switch (line.at(++at)) {
      case 'n': bytes.push_back('\n'); break;
      case 'r': bytes.push_back('\r'); break;
      case 't': bytes.push_back('\t'); break;
      case '\\': bytes.push_back('\\'); break;
      case 'x':
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(at + 1, 2), nullptr, 16)));
        at += 2;
        break;
      default: throw std::runtime_error{"an unknown escape in: " + line};
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3 || !std::filesystem::is_directory(argv[1])) {
    std::cerr << "usage: " << argv[0] << " CORPUS-FOLDER [FOUND-FILE]\n";
    return 2;
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator{argv[1]}) {
    std::ifstream file{entry.path(), std::ios::binary};
    const Bytes input{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
    run_with_mutations(input, mutations_per_file);
    ++files;
  }
  if (files == 0) {
    std::cerr << argv[1] << " holds no files\n";
    return 1;
  }
  std::size_t lines = 0;
  if (argc == 3) {
    std::ifstream found{argv[2]};
    for (std::string line; std::getline(found, line); ++lines) run_with_mutations(unescaped(line), mutations_per_line);
    if (lines == 0) {
      std::cerr << argv[2] << " holds no lines\n";
      return 1;
    }
  }
  std::cout << files << " files, " << mutations_per_file << " mutations each; " << lines << " lines, "
            << mutations_per_line << "\n";
}
