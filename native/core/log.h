/*
 * Messages on standard error: off by default, write(2) only, limited in rate, errno kept. Callable from anywhere,
 * signal handlers and children of fork included; takes no lock.
 */
#ifndef HAMI_CORE_LOG_H
#define HAMI_CORE_LOG_H

#include <stdbool.h>

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__ /* compilers older than GCC 12 */
#endif

/* The familiar numbers of LIBCUDA_LOG_LEVEL; 0, the default, says nothing. */
enum hami_log_level { HAMI_LOG_SILENT, HAMI_LOG_ERROR, HAMI_LOG_WARN, HAMI_LOG_INFO, HAMI_LOG_DEBUG };

extern int hami_log_threshold;

/* Sets the level from the text of an environment variable; NULL or anything but 0..4 means silent. */
void hami_log_configure(const char *text);

/* "[HAMI-core Debug(pid:thread:file:line)]: text". At most 256 characters; longer text is cut. */
void hami_log_write(enum hami_log_level level, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The familiar line of a memory query, "[HAMI-core Msg(...)]: text", shown at debug level. */
void hami_log_message(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline bool hami_log_enabled(enum hami_log_level level) {
  return __builtin_expect((int)level <= hami_log_threshold, 0);
}

#define HAMI_LOG(level, ...)                                                                                           \
  do {                                                                                                                 \
    if (hami_log_enabled(level)) {                                                                                     \
      hami_log_write(level, __FILE_NAME__, __LINE__, __VA_ARGS__);                                                     \
    }                                                                                                                  \
  } while (0)

#define HAMI_MSG(...)                                                                                                  \
  do {                                                                                                                 \
    if (hami_log_enabled(HAMI_LOG_DEBUG)) {                                                                            \
      hami_log_message(__FILE_NAME__, __LINE__, __VA_ARGS__);                                                          \
    }                                                                                                                  \
  } while (0)

#endif
