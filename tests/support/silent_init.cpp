// A process 1 that breaks its promise: it writes a line to the console and never greets the host.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

int main() {
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  const int console = ::open("/dev/console", O_WRONLY);
  const char text[] = "nothing to say\n";
  if (console >= 0 && ::write(console, text, sizeof text - 1) < 0) return 1;
  for (;;) ::pause();
}
