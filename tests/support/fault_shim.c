/* Preloaded into a program: the k-th call that changes a file kills the process or fails.
 *
 *   FAULT_AT=k        which call, from 1 (0: count only)
 *   FAULT_ERRNO=n     fail with this errno instead of killing; every later write fails too
 *   FAULT_UNDER=path  count only calls on files below this folder
 *   FAULT_COUNT=file  write the number of calls there when the process ends
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;

static long setting(const char* name) {
  const char* text = getenv(name);
  return text ? atol(text) : 0;
}

static int below(const char* path) {
  const char* folder = getenv("FAULT_UNDER");
  return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int descriptor_below(int descriptor) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return below(path);
}

/* True when this call must fail; does not return when it must kill. */
static int fault(int counts) {
  if (!counts) return 0;
  const long call = atomic_fetch_add(&calls, 1) + 1;
  const long at = setting("FAULT_AT");
  if (at <= 0 || call < at) return 0;
  const long code = setting("FAULT_ERRNO");
  if (code == 0) {
    if (call == at) kill(getpid(), SIGKILL);
    return 0;
  }
  errno = (int)code;
  return 1;
}

__attribute__((destructor)) static void report(void) {
  const char* path = getenv("FAULT_COUNT");
  if (!path) return;
  FILE* out = fopen(path, "w");
  if (!out) return;
  fprintf(out, "%ld\n", atomic_load(&calls));
  fclose(out);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int descriptor, const void* data, size_t size) {
  REAL(write);
  return fault(descriptor_below(descriptor)) ? -1 : real(descriptor, data, size);
}
int fsync(int descriptor) {
  REAL(fsync);
  return fault(descriptor_below(descriptor)) ? -1 : real(descriptor);
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return fault(below(from) || below(to)) ? -1 : real(from, to);
}
int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  return fault(below(path)) ? -1 : real(path, mode);
}
/* Removing gives space back: a full disk does not refuse it, a kill can still come before it. */
int unlink(const char* path) {
  REAL(unlink);
  if (below(path) && !setting("FAULT_ERRNO")) fault(1);
  return real(path);
}
int remove(const char* path) {
  REAL(remove);
  if (below(path) && !setting("FAULT_ERRNO")) fault(1);
  return real(path);
}
int unlinkat(int folder, const char* path, int flags) {
  REAL(unlinkat);
  if (descriptor_below(folder) && !setting("FAULT_ERRNO")) fault(1);
  return real(folder, path, flags);
}
int fdatasync(int descriptor) {
  REAL(fdatasync);
  return fault(descriptor_below(descriptor)) ? -1 : real(descriptor);
}
int ftruncate(int descriptor, off_t size) {
  REAL(ftruncate);
  if (descriptor_below(descriptor) && !setting("FAULT_ERRNO")) fault(1);
  return real(descriptor, size);
}
