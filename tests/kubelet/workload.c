/*
 * Runs in the containers of the node tests: `workload TAKE_MIB MORE_MIB [mlu|ascend]` says, in one line of JSON, what
 * it sees of its cards through NVIDIA's libraries and what they answer when it takes memory of the first and then more,
 * and stays until SIGTERM with what it got. It knows nothing of sharing.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct nvml_memory {
  unsigned long long total, free, used;
};

static void *needed(void *library, const char *name) {
  void *found = library ? dlsym(library, name) : NULL;
  if (!found) {
    printf("\"missing\": \"%s\"}\n", name);
    exit(1);
  }
  return found;
}

static void *opened(const char *name) {
  void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    printf("\"missing\": \"%s\"}\n", dlerror());
    exit(1);
  }
  return library;
}

/* Memory of each card that the environment names. */
static void say_totals(void) {
  void *nvml = opened("libnvidia-ml.so.1");
  int (*init)(void) = needed(nvml, "nvmlInit_v2");
  int (*by_uuid)(const char *, void **) = needed(nvml, "nvmlDeviceGetHandleByUUID");
  int (*memory_of)(void *, struct nvml_memory *) = needed(nvml, "nvmlDeviceGetMemoryInfo");
  const char *visible = getenv("NVIDIA_VISIBLE_DEVICES");
  char *uuids = strdup(visible ? visible : ""), *rest = uuids, *uuid;

  printf("\"nvml_init\": %d, \"visible\": \"%s\", \"total_mib\": [", init(), uuids);
  for (const char *comma = ""; (uuid = strsep(&rest, ",")) && *uuid; comma = ", ") {
    struct nvml_memory memory = {0};
    void *card = NULL;
    if (by_uuid(uuid, &card) || memory_of(card, &memory))
      printf("%snull", comma);
    else
      printf("%s%llu", comma, memory.total >> 20);
  }
  printf("], ");
  free(uuids);
}

static void take(size_t first_mib, size_t more_mib) {
  void *cuda = opened("libcuda.so.1");
  int (*init)(unsigned) = needed(cuda, "cuInit");
  int (*retain)(void **, int) = needed(cuda, "cuDevicePrimaryCtxRetain");
  int (*make_current)(void *) = needed(cuda, "cuCtxSetCurrent");
  int (*take_bytes)(unsigned long long *, size_t) = needed(cuda, "cuMemAlloc_v2");
  int (*total_of)(size_t *, int) = needed(cuda, "cuDeviceTotalMem_v2");
  unsigned long long pointer;
  size_t total = 0;
  void *context = NULL;
  int started = init(0);

  if (!started)
    started = retain(&context, 0) || make_current(context) || total_of(&total, 0);
  printf("\"cuda_init\": %d, \"cuda_total_mib\": %zu", started, total >> 20);
  if (first_mib)
    printf(", \"took\": %d", take_bytes(&pointer, first_mib << 20));
  if (more_mib)
    printf(", \"more\": %d", take_bytes(&pointer, more_mib << 20));
}

/* The same on Cambricon's driver. */
static void take_mlu(size_t first_mib, size_t more_mib) {
  void *driver = opened("libcndrv.so");
  int (*memory_of)(unsigned long long *, unsigned long long *) = needed(driver, "cnMemGetInfo");
  int (*take_bytes)(unsigned long long *, unsigned long long) = needed(driver, "cnMalloc");
  unsigned long long free_bytes = 0, total = 0, pointer;

  memory_of(&free_bytes, &total);
  printf("\"total_mib\": [%llu]", total >> 20);
  printf(", \"took\": %d", take_bytes(&pointer, (unsigned long long)first_mib << 20));
  printf(", \"more\": %d", take_bytes(&pointer, (unsigned long long)more_mib << 20));
}

/* And on Ascend's. */
static void take_ascend(size_t first_mib, size_t more_mib) {
  void *driver = opened("libruntime.so");
  int (*use)(int) = needed(driver, "rtSetDevice");
  int (*memory_of)(int, size_t *, size_t *) = needed(driver, "rtMemGetInfoEx");
  int (*take_bytes)(void **, unsigned long long, unsigned, unsigned short) = needed(driver, "rtMalloc");
  size_t free_bytes = 0, total = 0;
  void *pointer;

  use(0);
  memory_of(1, &free_bytes, &total);
  printf("\"total_mib\": [%zu]", total >> 20);
  printf(", \"took\": %d", take_bytes(&pointer, (unsigned long long)first_mib << 20, 2, 0));
  printf(", \"more\": %d", take_bytes(&pointer, (unsigned long long)more_mib << 20, 2, 0));
}

static void end(int number) { _exit(0); }

int main(int argc, char **argv) {
  /* The first process of a container gets no signal that it does not handle. */
  signal(SIGTERM, end);
  printf("{");
  size_t first_mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, more_mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
  if (argc > 3 && !strcmp(argv[3], "mlu")) {
    take_mlu(first_mib, more_mib);
  } else if (argc > 3 && !strcmp(argv[3], "ascend")) {
    take_ascend(first_mib, more_mib);
  } else {
    say_totals();
    take(first_mib, more_mib);
  }
  printf("}\n");
  fflush(stdout);
  for (;;)
    pause();
}
