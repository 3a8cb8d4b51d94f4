// Names a file by number.
#include "../attempt.h"

int main(int c, char **v) {
  struct {
    struct file_handle h;
    char b[128];
  } x;
  x.h.handle_bytes = 128;
  int m;
  return name_to_handle_at(AT_FDCWD, "/", &x.h, &m, 0) ? 1 : 0;
}
