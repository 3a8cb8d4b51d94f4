// Opens a file of the host by handle.
#include "../attempt.h"

int main(int c, char **v) {
  struct {
    struct file_handle h;
    char b[128];
  } x;
  x.h.handle_bytes = 128;
  int m;
  if (name_to_handle_at(AT_FDCWD, "/", &x.h, &m, 0))
    return 1;
  int f = open("/", O_RDONLY);
  return open_by_handle_at(f, &x.h, O_RDONLY) >= 0 ? 0 : 1;
}
