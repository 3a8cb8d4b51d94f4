// Opens a GPU that it was not given.
#include "../attempt.h"

int main(int c, char **v) {
  const char *p[] = {"/dev/nvidia0",   "/dev/nvidia1",        "/dev/nvidiactl", "/dev/nvidia-uvm",
                     "/dev/dri/card0", "/dev/dri/renderD128", "/dev/kfd",       0};
  for (int i = 0; p[i]; i++)
    if (access(p[i], F_OK) == 0)
      return 0;
  return 1;
}
