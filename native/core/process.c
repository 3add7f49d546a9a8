#include "core/process.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/turn.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

#define UNKNOWN_ADVICE 0x7fff

static bool kernel_wipes; /* the same for every page: set once, before any second thread */

static char *append(char *out, const char *text) {
  size_t length = strlen(text);
  memcpy(out, text, length);
  return out + length;
}

static char *append_number(char *out, uint32_t number) {
  char digits[10];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (count > 0) {
    *out++ = digits[--count];
  }
  return out;
}

/* The fields of /proc/PID/stat that follow the command's closing parenthesis, counted as in proc(5). */
struct stat_fields {
  char state;
  uint64_t threads;
  uint64_t start_time;
};

static bool read_stat(const struct hami_effects *effects, uint32_t pid, struct stat_fields *fields, char command[16]) {
  char path[64];
  char text[1024];
  /* The main thread's file says the same as the process's, which emulators make up for the process that reads it. */
  char *end = append_number(append(path, "/proc/"), pid);
  end = append(append_number(append(end, "/task/"), pid), "/stat");
  *end = '\0';
  ssize_t length = effects->read_file(path, text, sizeof text - 1);
  if (length <= 0) {
    return false;
  }
  text[length] = '\0';
  /* The command may hold any character, closing parentheses included: the last one ends it. */
  char *at = strrchr(text, ')');
  char *open = strchr(text, '(');
  if (at == NULL || open == NULL || at[1] != ' ' || at[2] == '\0') {
    return false;
  }
  if (command != NULL) {
    size_t name = (size_t)(at - open - 1);
    memset(command, 0, 16);
    memcpy(command, open + 1, name < 15 ? name : 15);
  }
  *fields = (struct stat_fields){.state = at[2]};
  unsigned int field = 3;
  uint64_t value = 0;
  for (at += 3; field <= 22; at++) {
    if (*at >= '0' && *at <= '9') {
      value = value * 10 + (uint64_t)(*at - '0');
      continue;
    }
    fields->threads = field == 20 ? value : fields->threads;
    if (field == 22) {
      fields->start_time = value;
      return true;
    }
    if (*at == '\0') {
      return false;
    }
    if (*at == ' ') {
      field++;
      value = 0;
    }
  }
  return false;
}

bool hami_process_dead(const struct hami_effects *effects, uint32_t pid, uint64_t start_time) {
  if (!effects->pid_exists(pid)) {
    return true;
  }
  struct stat_fields fields;
  if (!read_stat(effects, pid, &fields, NULL)) {
    return false; /* /proc may be hidden from us */
  }
  /* A leader whose thread ended is a zombie while the other threads run on. */
  bool ended = (fields.state == 'Z' || fields.state == 'X') && fields.threads <= 1;
  return ended || (start_time != 0 && fields.start_time != start_time);
}

static uint64_t read_pid_namespace(void) {
  char link[64];
  int saved = errno;
  ssize_t length = readlink("/proc/self/ns/pid", link, sizeof link);
  errno = saved;
  uint64_t inode = 0;
  for (ssize_t i = 0; i < length; i++) {
    if (link[i] >= '0' && link[i] <= '9') {
      inode = inode * 10 + (uint64_t)(link[i] - '0');
    }
  }
  return inode;
}

void hami_identity_read(const struct hami_effects *effects, struct hami_identity *identity) {
  struct stat_fields fields = {0};
  *identity = (struct hami_identity){.pid = effects->pid(), .uid = (uint32_t)geteuid()};
  (void)read_stat(effects, identity->pid, &fields, identity->command);
  identity->start_time = fields.start_time;
  identity->pid_namespace = read_pid_namespace();
}

uint64_t hami_namespace_birth_ns(const struct hami_effects *effects) {
  struct stat_fields first = {0};
  long ticks_per_s = sysconf(_SC_CLK_TCK);
  if (!read_stat(effects, 1, &first, NULL) || ticks_per_s <= 0) {
    return 0;
  }
  uint64_t started_ns = first.start_time * (1000000000ULL / (uint64_t)ticks_per_s);
  uint64_t suspended_ns = effects->suspended_ns();
  return started_ns > suspended_ns ? started_ns - suspended_ns : 1;
}

struct hami_self *hami_self_create(const struct hami_effects *effects) {
  struct hami_self *self = mmap(NULL, sizeof *self, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (self == MAP_FAILED) {
    return NULL;
  }
  /* Emulators (qemu-user) say yes to any advice and follow none: one that no kernel knows finds them out. */
  kernel_wipes = madvise(self, sizeof *self, MADV_WIPEONFORK) == 0 && madvise(self, sizeof *self, UNKNOWN_ADVICE) != 0;
  self->known = effects->pid();
  return self;
}

void hami_self_destroy(struct hami_self *self) { (void)munmap(self, sizeof *self); }

/* The pid this process's threads agree on: read from the page while it can be trusted. */
static uint32_t own_pid(struct hami_self *self, const struct hami_effects *effects) {
  return __atomic_load_n(&self->wipes, __ATOMIC_ACQUIRE) ? __atomic_load_n(&self->pid, __ATOMIC_RELAXED)
                                                         : effects->pid();
}

void hami_self_enter(struct hami_self *self, const struct hami_effects *effects) {
  uint32_t pid = own_pid(self, effects);
  hami_turn_take(&self->turn, pid, effects);
  if (__builtin_expect(self->pid != pid, 0)) {
    memset(&self->attached, 0, sizeof *self - offsetof(struct hami_self, attached));
    __atomic_store_n(&self->ticked_ns, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&self->pid, pid, __ATOMIC_RELAXED);
    __atomic_store_n(&self->wipes, kernel_wipes ? 1U : 0U, __ATOMIC_RELEASE);
  }
}

void hami_self_leave(struct hami_self *self) { hami_turn_end(&self->turn); }

bool hami_self_is_new(const struct hami_self *self, const struct hami_effects *effects) {
  uint32_t known = __atomic_load_n(&self->known, __ATOMIC_ACQUIRE);
  return (known == 0 || !kernel_wipes) && known != effects->pid();
}

void hami_self_begun(struct hami_self *self, const struct hami_effects *effects) {
  __atomic_store_n(&self->known, effects->pid(), __ATOMIC_RELEASE);
}
