// Runs a fuzz target without a fuzzing engine: over every file of a corpus, and over a fixed number of mutations of
// each, the same ones every time.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int mutations_per_file = 2000;

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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
    std::cerr << "usage: " << argv[0] << " CORPUS-FOLDER\n";
    return 2;
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator{argv[1]}) {
    std::ifstream file{entry.path(), std::ios::binary};
    const Bytes input{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
    run(input);
    std::mt19937 random{42};
    for (int i = 0; i < mutations_per_file; ++i) {
      Bytes mutated = input;
      mutate(mutated, random);
      run(mutated);
    }
    ++files;
  }
  if (files == 0) {
    std::cerr << argv[1] << " holds no files\n";
    return 1;
  }
  std::cout << files << " files, " << mutations_per_file << " mutations each\n";
}
