/* A driver's library for tests: one GPU with the minor 77. What is asked of it is written to $FAKE_NVML, and every process that calls itself
   gpu-hog uses 2 GiB. Compiled with OLD it is a driver that cannot limit cgroups. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char gpu, limited[4096];
static unsigned long long hard;

static void note(const char *what, const char *detail, unsigned long long n) {
  FILE *f = getenv("FAKE_NVML") ? fopen(getenv("FAKE_NVML"), "a") : 0;
  if (f) {
    fprintf(f, "%s %s %llu\n", what, detail, n);
    fclose(f);
  }
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { return *n = 1, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { return i ? 6 : (*d = &gpu, 0); }
int nvmlDeviceGetHandleByUUID(const char *u, void **d) { return strcmp(u, "GPU-fake") ? 6 : (*d = &gpu, 0); }
int nvmlDeviceGetMinorNumber(void *d, unsigned *n) { return d == &gpu ? (*n = 77, 0) : 2; }

struct memory { unsigned long long total, free, used; };
int nvmlDeviceGetMemoryInfo(void *d, struct memory *m) {
  (void)d;
  m->total = 80ULL << 30;
  return 0;
}

#ifndef OLD
struct set { const char *name; unsigned long long soft, hard; };
struct get { const char *name; unsigned long long soft, hard, used; };
int nvmlDeviceSetMemoryLimits_v1(void *d, struct set *s) {
  (void)d;
  note("limit", s->name, s->hard);
  snprintf(limited, sizeof limited, "%s", s->name);
  hard = s->hard;
  return 0;
}
int nvmlDeviceGetMemoryLimits_v1(void *d, struct get *g) {
  (void)d;
  g->hard = strcmp(g->name, limited) ? ~0ULL : hard;
  return 0;
}
#endif

struct process { unsigned pid; unsigned long long used; unsigned gi, ci; };
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, struct process *p) {
  (void)d;
  unsigned found = 0;
  DIR *all = opendir("/proc");
  struct dirent *e;
  while (all && (e = readdir(all)) && found < *n) {
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
    FILE *f = fopen(path, "r");
    if (!f)
      continue;
    if (fgets(name, sizeof name, f) && !strcmp(name, "gpu-hog\n"))
      p[found++] = (struct process){atoi(e->d_name), 2ULL << 30, ~0u, ~0u};
    fclose(f);
  }
  if (all)
    closedir(all);
  *n = found;
  return 0;
}
