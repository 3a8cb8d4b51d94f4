/* Shared by the attempts: the arguments that name their targets, and their exit codes: 0 when the attempt succeeded, 1 when it was
   stopped, OUTSIDE when its success shows only outside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#ifdef __x86_64__
#include <sys/io.h>
#else
static inline int iopl(int level) {
  (void)level;
  return -1;
}
#endif
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTSIDE 3

/* NAME=value among the arguments, with something after it. */
static const char *arg(char **v, const char *name, const char *after) {
  static char out[4096];
  for (int i = 1; v[i]; i++)
    if (!strncmp(v[i], name, strlen(name)) && v[i][strlen(name)] == '=') {
      snprintf(out, sizeof out, "%s%s", v[i] + strlen(name) + 1, after);
      return out;
    }
  return "";
}

static int reads(const char *path) {
  char b[16];
  int f = open(path, O_RDONLY);
  return f >= 0 && read(f, b, sizeof b) > 0 ? 0 : 1;
}

static int writes(const char *path) {
  int f = open(path, O_CREAT | O_WRONLY, 0644);
  return f >= 0 && write(f, "x", 1) == 1 ? 0 : 1;
}

static int tcp(const char *host, int port) {
  struct sockaddr_in a = {AF_INET, htons(port), {inet_addr(host)}};
  int s = socket(AF_INET, SOCK_STREAM, 0);
  return s >= 0 && !connect(s, (void *)&a, sizeof a) ? 0 : 1;
}

static int copy_and_run(const char *path) {
  char b[65536];
  int n, from = open("/bin/true", O_RDONLY), to = open(path, O_CREAT | O_WRONLY, 0755);
  if (from < 0 || to < 0)
    return 1;
  while ((n = read(from, b, sizeof b)) > 0)
    if (write(to, b, n) != n)
      return 1;
  close(to);
  pid_t p = fork();
  if (!p) {
    char *a[] = {(char *)path, 0};
    execv(path, a);
    _exit(1);
  }
  int status = 1;
  waitpid(p, &status, 0);
  unlink(path);
  return status ? 1 : 0;
}
