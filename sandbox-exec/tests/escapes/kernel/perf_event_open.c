// Counts what the processor does.
#include "../attempt.h"

int main(int c, char **v) {
  struct perf_event_attr a = {0};
  a.type = PERF_TYPE_SOFTWARE;
  a.size = sizeof a;
  a.exclude_kernel = 1;
  return syscall(SYS_perf_event_open, &a, 0, -1, -1, 0) >= 0 ? 0 : 1;
}
