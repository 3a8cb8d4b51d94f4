/* The host that the attempts would like to reach: listeners, shared memory, a queue, a process to signal. Says where
   they are, waits until its input ends, takes them away. */
#include "attempt.h"

int main(int c, char **v) {
  const char *dir = v[1];
  struct sockaddr_in a = {AF_INET, 0, {htonl(0x7f000001)}};
  socklen_t n = sizeof a;
  int t = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(t, (void *)&a, n) || listen(t, 8) || getsockname(t, (void *)&a, &n))
    return 1;
  struct sockaddr_un u = {AF_UNIX, ""};
  snprintf(u.sun_path, sizeof u.sun_path, "%s/socket", dir);
  int p = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(p, (void *)&u, sizeof u) || listen(p, 8))
    return 1;
  chmod(u.sun_path, 0777);
  char name[64];
  snprintf(name, sizeof name, "modelscan-stage-%d", getpid());
  struct sockaddr_un b = {AF_UNIX, ""};
  strcpy(b.sun_path + 1, name);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(s, (void *)&b, sizeof(sa_family_t) + 1 + strlen(name)) || listen(s, 8))
    return 1;
  int key = 0x5a000000 + getpid();
  int m = shmget(key, 4096, IPC_CREAT | 0666);
  /* The system call wants no slash before the name. */
  char queue[64];
  snprintf(queue, sizeof queue, "modelscan-%d", getpid());
  int q = syscall(SYS_mq_open, queue, O_CREAT | O_RDWR, 0666, 0);
  if (q >= 0)
    fchmod(q, 0666);
  printf("TCP=%d ABSTRACT=%s SHM=%d MQ=%s VICTIM=%d\n", ntohs(a.sin_port), name, key, queue, getpid());
  fflush(stdout);
  char x;
  while (read(0, &x, 1) > 0) {
  }
  shmctl(m, IPC_RMID, 0);
  syscall(SYS_mq_unlink, queue);
  return 0;
}
