// Uses the installed library as a stranger would: a home folder is opened, a machine is asked for that cannot be.
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include <fireclaw/fireclaw.hpp>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: consumer HOME-FOLDER\n";
    return 2;
  }
  if (fireclaw::version() != FIRECLAW_VERSION_STRING) {
    std::cerr << "headers " FIRECLAW_VERSION_STRING ", library " << fireclaw::version() << '\n';
    return 1;
  }
  try {
    fireclaw::HostOptions options;
    options.home = argv[1];
    const auto host = fireclaw::Host::open(options);
    std::cout << "images: " << host.images().list().size() << '\n';
    fireclaw::VMConfig config;
    config.image = "no-such-image";
    // The exception type crosses the library's border.
    static_cast<void>(host.vms().create(config));
    std::cerr << "a machine was made of nothing\n";
    return 1;
  } catch (const fireclaw::Error& error) {
    std::cout << fireclaw::to_string(error.code()) << ": " << error.what() << '\n';
    return 0;
  }
}
