/*
 * Calls of the kernel that the C library makes cancellation points, made without it: a thread that the program cancels
 * must not end inside the library, with a turn or the program's own locks held, at calls that never ended it before.
 * Nor do other preloaded libraries get these calls to see. errno is set as usual.
 */
#ifndef HAMI_CORE_SYSCALLS_H
#define HAMI_CORE_SYSCALLS_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static inline int hami_sys_open(const char *path, int flags, mode_t mode) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline int hami_sys_close(int fd) { return (int)syscall(SYS_close, fd); }

static inline ssize_t hami_sys_read(int fd, void *buffer, size_t size) { return syscall(SYS_read, fd, buffer, size); }

static inline ssize_t hami_sys_write(int fd, const void *buffer, size_t size) {
  return syscall(SYS_write, fd, buffer, size);
}

static inline ssize_t hami_sys_pread(int fd, void *buffer, size_t size, off_t at) {
  return syscall(SYS_pread64, fd, buffer, size, at);
}

static inline ssize_t hami_sys_pwrite(int fd, const void *buffer, size_t size, off_t at) {
  return syscall(SYS_pwrite64, fd, buffer, size, at);
}

static inline int hami_sys_fallocate(int fd, off_t size) { return (int)syscall(SYS_fallocate, fd, 0, (off_t)0, size); }

static inline int hami_sys_sleep(const struct timespec *duration) {
  return (int)syscall(SYS_nanosleep, duration, NULL);
}

#endif
