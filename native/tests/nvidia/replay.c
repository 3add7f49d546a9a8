/*
 * Replays a trace of driver calls and prints every answer, so that two runs can be compared: without the library, and
 * with it in a share that the trace never fills. Usage: nvidia_replay FILE. The words are explained in
 * traces/README.md; a line that ends in "= CODE" was recorded, and must get that code.
 */
#include <unistd.h>

#include "nulls.h"
#include "share.h"

#define MOST 4096
#define OPERANDS 4

/* "7", "20M", "7+512": a number, and how far into what it names. */
struct operand {
  uint64_t value;
  uint64_t at;
};

static struct {
  CUdeviceptr pointer;
  size_t bytes;
} pointers[MOST];
static void *buffers[MOST];
static CUmemGenericAllocationHandle handles[MOST];
static CUstream streams[MOST];
static CUevent events[MOST];
static CUgraph graphs[MOST];
static CUgraphExec executables[MOST];
static CUmemoryPool pools[MOST];
static CUfunction kernel;
static size_t told; /* what a query answered, beside its code */
static size_t used_at_first;
static unsigned char scratch[1U << 20];

static CUmemAllocationProp properties(bool shareable) {
  return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                               .requestedHandleTypes =
                                   shareable ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE};
}

static CUdeviceptr address(struct operand operand) { return pointers[operand.value].pointer + operand.at; }

static CUresult create(uint64_t place, uint64_t bytes, bool shareable) {
  CUmemAllocationProp props = properties(shareable);
  return cuMemCreate(&handles[place], bytes, &props, 0);
}

static CUresult give_access(CUdeviceptr pointer, size_t bytes) {
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  return cuMemSetAccess(pointer, bytes, &access, 1);
}

static CUresult make_pool(uint64_t place) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemPoolCreate(&pools[place], &props);
}

static CUresult keep(CUmemoryPool pool, uint64_t bytes) {
  cuuint64_t threshold = bytes;
  return cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold);
}

static CUresult export_handle(CUmemGenericAllocationHandle handle) {
  int descriptor = -1;
  CUresult result = cuMemExportToShareableHandle(&descriptor, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
  if (result == CUDA_SUCCESS) {
    (void)close(descriptor);
  }
  return result;
}

static CUresult launch(CUstream stream, uint64_t count) {
  CUresult result = CUDA_SUCCESS;
  for (uint64_t i = 0; i < count && result == CUDA_SUCCESS; i++) {
    result = share_launch(kernel, stream);
  }
  return result;
}

static size_t part(uint64_t bytes) { return bytes < sizeof scratch ? bytes : sizeof scratch; }

/* How much is in use beyond what was at the start: a share counts from another zero than the card. */
static size_t used(CUresult *result) {
  size_t available = 0;
  size_t total = 0;
  *result = cuMemGetInfo_v2(&available, &total);
  return total - available;
}

static CUresult ask_info(void) {
  CUresult result;
  told = used(&result) - used_at_first;
  return result;
}

static CUresult ask_range(CUdeviceptr pointer) { return cuMemGetAddressRange_v2(NULL, &told, pointer); }

static CUresult ask_kind(CUdeviceptr pointer) {
  unsigned int kind = 0;
  CUresult result = cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, pointer);
  told = kind;
  return result;
}

/* Words with the calls they stand for; a, b, c and d are the line's operands, A to D their numbers. */
#define WORDS(X)                                                                                                       \
  X("alloc", cuMemAlloc_v2(&pointers[A].pointer, B))                                                                   \
  X("managed", cuMemAllocManaged(&pointers[A].pointer, B, CU_MEM_ATTACH_GLOBAL))                                       \
  X("pitch", cuMemAllocPitch_v2(&pointers[A].pointer, &told, B, C, 4))                                                 \
  X("free", cuMemFree_v2(address(a)))                                                                                  \
  X("async", cuMemAllocAsync(&pointers[A].pointer, B, streams[C]))                                                     \
  X("frompool", cuMemAllocFromPoolAsync(&pointers[A].pointer, B, pools[C], streams[D]))                                \
  X("freeasync", cuMemFreeAsync(address(a), streams[B]))                                                               \
  X("pool", make_pool(A))                                                                                              \
  X("unpool", cuMemPoolDestroy(pools[A]))                                                                              \
  X("keep", keep(pools[A], B))                                                                                         \
  X("trim", cuMemPoolTrimTo(pools[A], B))                                                                              \
  X("create", create(A, B, C != 0))                                                                                    \
  X("reserve", cuMemAddressReserve(&pointers[A].pointer, pointers[A].bytes = B, 0, 0, 0))                              \
  X("map", cuMemMap(address(a), C, 0, handles[B], 0))                                                                  \
  X("access", give_access(address(a), B))                                                                              \
  X("unmap", cuMemUnmap(address(a), B))                                                                                \
  X("release", cuMemRelease(handles[A]))                                                                               \
  X("unreserve", cuMemAddressFree(pointers[A].pointer, pointers[A].bytes))                                             \
  X("export", export_handle(handles[A]))                                                                               \
  X("ipc", cuIpcGetMemHandle(&(CUipcMemHandle){{0}}, address(a)))                                                      \
  X("host", cuMemHostAlloc(&buffers[A], B, 0))                                                                         \
  X("unhost", cuMemFreeHost(buffers[A]))                                                                               \
  X("stream", cuStreamCreate(&streams[A], CU_STREAM_NON_BLOCKING))                                                     \
  X("unstream", cuStreamDestroy_v2(streams[A]))                                                                        \
  X("sync", cuStreamSynchronize(streams[A]))                                                                           \
  X("event", cuEventCreate(&events[A], CU_EVENT_DEFAULT))                                                              \
  X("unevent", cuEventDestroy_v2(events[A]))                                                                           \
  X("record", cuEventRecord(events[A], streams[B]))                                                                    \
  X("wait", cuStreamWaitEvent(streams[A], events[B], 0))                                                               \
  X("syncevent", cuEventSynchronize(events[A]))                                                                        \
  X("settle", cuCtxSynchronize())                                                                                      \
  X("launch", launch(streams[A], B))                                                                                   \
  X("clear", cuMemsetD8Async(address(a), 0, B, streams[C]))                                                            \
  X("copy", cuMemcpyDtoDAsync_v2(address(a), address(b), C, streams[D]))                                               \
  X("put", cuMemcpyHtoD_v2(address(a), scratch, part(B)))                                                              \
  X("get", cuMemcpyDtoH_v2(scratch, address(a), part(B)))                                                              \
  X("putasync", cuMemcpyHtoDAsync_v2(address(a), scratch, part(B), streams[C]))                                        \
  X("getasync", cuMemcpyDtoHAsync_v2(scratch, address(a), part(B), streams[C]))                                        \
  X("capture", cuStreamBeginCapture_v2(streams[A], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))                               \
  X("captured", cuStreamEndCapture(streams[B], &graphs[A]))                                                            \
  X("build", cuGraphInstantiateWithFlags(&executables[A], graphs[B], 0))                                               \
  X("forget", cuGraphDestroy(graphs[A]))                                                                               \
  X("graph", cuGraphLaunch(executables[A], streams[B]))                                                                \
  X("ungraph", cuGraphExecDestroy(executables[A]))                                                                     \
  X("info", ask_info())                                                                                                \
  X("range", ask_range(address(a)))                                                                                    \
  X("kind", ask_kind(address(a)))                                                                                      \
  X("nulls", say_nulls())

#define A (a.value)
#define B (b.value)
#define C (c.value)
#define D (d.value)

static CUresult replay(const char *word, struct operand a, struct operand b, struct operand c, struct operand d) {
  CHECK(A < MOST);
#define CALL(name, call)                                                                                               \
  if (strcmp(word, name) == 0) {                                                                                       \
    return call;                                                                                                       \
  }
  WORDS(CALL)
#undef CALL
  fprintf(stderr, "%s: no such word\n", word);
  exit(2);
}

static uint64_t number(const char *text, char **rest) {
  uint64_t value = strtoull(text, rest, 10);
  if (**rest == 'M') {
    value *= MIB;
    (*rest)++;
  }
  return value;
}

static void replay_line(char *line) {
  struct operand operands[OPERANDS] = {{0}};
  printf("%s:", line);
  char *rest = NULL;
  const char *word = strtok_r(line, " ", &rest);
  const char *part = strtok_r(NULL, " ", &rest);
  for (int i = 0; part != NULL && *part != '='; i++) {
    CHECK(i < OPERANDS);
    char *end = NULL;
    operands[i].value = number(part, &end);
    operands[i].at = *end == '+' ? number(end + 1, &end) : 0;
    CHECK(end != part && *end == '\0');
    part = strtok_r(NULL, " ", &rest);
  }
  told = 0;
  CUresult result = replay(word, operands[0], operands[1], operands[2], operands[3]);
  printf(" %d %zu\n", (int)result, told);
  if (part != NULL) {
    part = strtok_r(NULL, " ", &rest);
    CHECK(part != NULL);
    CHECK_EQUAL((int)strtol(part, NULL, 10), (int)result);
  }
}

int main(int argc, char **argv) {
  char line[256];
  CHECK(argc == 2);
  FILE *file = fopen(argv[1], "r");
  CHECK(file != NULL);
  (void)share_open();
  kernel = share_kernel(1000);
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceGetDefaultMemPool(&pools[0], 0));
  CUresult result;
  used_at_first = used(&result);
  CHECK_EQUAL(CUDA_SUCCESS, result);
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] != '#' && line[0] != '\0') {
      replay_line(line);
    }
  }
  return fclose(file);
}
