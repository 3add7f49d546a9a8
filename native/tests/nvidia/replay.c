/*
 * Replays a trace of driver calls and prints every answer, so that two runs can be compared: without the library, and
 * with it in a share that the trace never fills. Usage: nvidia_replay FILE. A line is a word and numbers; objects go by
 * the number that the line gives them, sizes are in MiB, stream 0 is the default one:
 *
 *   alloc P MIB, managed P MIB, pitch P WIDTH HEIGHT, free P        memory in the plain ways
 *   async P MIB STREAM, freeasync P STREAM, keep MIB, trim MIB      out of the device's pool, which keeps so much
 *   create H MIB SHAREABLE, release H, export H, reserve P MIB, unreserve P
 *   map P H AT MIB, access P AT MIB, unmap P AT MIB                 of a reservation, from AT on
 *   ipc P                                                           a handle for another process
 *   stream S, sync S, launch S COUNT, clear P MIB S, copy P P MIB S
 *   capture S, captured G S, graph G S, ungraph G
 *   nulls                                                           every call here without what it needs
 */
#include <unistd.h>

#include "share.h"

#define MOST 256

static struct {
  CUdeviceptr pointer;
  CUdeviceptr bytes;
} pointers[MOST];
static CUmemGenericAllocationHandle handles[MOST];
static CUstream streams[MOST];
static CUgraphExec graphs[MOST];
static CUmemoryPool pool;
static CUfunction kernel;

static const CUmemAllocationProp *properties(bool shareable) {
  static CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  props.requestedHandleTypes = shareable ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE;
  return &props;
}

static CUresult give_access(CUdeviceptr pointer, size_t bytes) {
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  return cuMemSetAccess(pointer, bytes, &access, 1);
}

static CUresult keep(uint64_t bytes) {
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

static CUresult end_capture(uint64_t place, CUstream stream) {
  CUgraph graph = NULL;
  CUresult result = cuStreamEndCapture(stream, &graph);
  if (result == CUDA_SUCCESS) {
    result = cuGraphInstantiateWithFlags(&graphs[place], graph, 0);
    CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  }
  return result;
}

#define NULLS(X)                                                                                                       \
  X(cuMemAlloc_v2(NULL, 512))                                                                                          \
  X(cuMemAllocManaged(NULL, 512, CU_MEM_ATTACH_GLOBAL))                                                                \
  X(cuMemAllocPitch_v2(NULL, NULL, 1, 1, 4))                                                                           \
  X(cuMemAllocAsync(NULL, 512, NULL))                                                                                  \
  X(cuMemAllocFromPoolAsync(NULL, 512, NULL, NULL))                                                                    \
  X(cuMemFree_v2(0))                                                                                                   \
  X(cuMemFreeAsync(0, NULL))                                                                                           \
  X(cuMemCreate(NULL, 2 * MIB, NULL, 0))                                                                               \
  X(cuMemRelease(0))                                                                                                   \
  X(cuMemRetainAllocationHandle(NULL, NULL))                                                                           \
  X(cuMemMap(0, 0, 0, 0, 0))                                                                                           \
  X(cuMemUnmap(0, 0))                                                                                                  \
  X(cuArrayCreate_v2(NULL, NULL))                                                                                      \
  X(cuArray3DCreate_v2(NULL, NULL))                                                                                    \
  X(cuArrayDestroy(NULL))                                                                                              \
  X(cuMipmappedArrayCreate(NULL, NULL, 0))                                                                             \
  X(cuMipmappedArrayDestroy(NULL))                                                                                     \
  X(cuMemPoolCreate(NULL, NULL))                                                                                       \
  X(cuMemPoolDestroy(NULL))                                                                                            \
  X(cuMemPoolTrimTo(NULL, 0))                                                                                          \
  X(cuDevicePrimaryCtxRetain(NULL, 0))                                                                                 \
  X(cuCtxCreate_v2(NULL, 0, 0))                                                                                        \
  X(cuCtxDestroy_v2(NULL))                                                                                             \
  X(cuDeviceTotalMem_v2(NULL, 0))                                                                                      \
  X(cuGraphInstantiateWithFlags(NULL, NULL, 0))                                                                        \
  X(cuGraphLaunch(NULL, NULL))                                                                                         \
  X(cuGraphExecDestroy(NULL))                                                                                          \
  X(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL))                                                       \
  X(cuLaunchKernelEx(NULL, NULL, NULL, NULL))                                                                          \
  X(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL))                                                      \
  X(cuImportExternalMemory(NULL, NULL))                                                                                \
  X(cuIpcOpenMemHandle_v2(NULL, (CUipcMemHandle){{0}}, 1))                                                             \
  X(cuGetProcAddress_v2(NULL, NULL, 12000, 0, NULL))

static CUresult say_nulls(void) {
#define SAY(call) printf("  %s %d\n", #call, (int)(call));
  NULLS(SAY)
#undef SAY
  printf("  %d\n", (int)nvmlDeviceGetMemoryInfo(NULL, NULL));
  printf("  %d\n", (int)nvmlDeviceGetComputeRunningProcesses_v3(NULL, NULL, NULL));
  printf("  %d\n", (int)nvmlDeviceGetProcessUtilization(NULL, NULL, NULL, 0));
  return CUDA_SUCCESS;
}

/* Words with the calls they stand for; a, b, c and d are the line's numbers. */
#define WORDS(X)                                                                                                       \
  X("alloc", cuMemAlloc_v2(&pointers[a].pointer, b *MIB))                                                              \
  X("managed", cuMemAllocManaged(&pointers[a].pointer, b *MIB, CU_MEM_ATTACH_GLOBAL))                                  \
  X("pitch", cuMemAllocPitch_v2(&pointers[a].pointer, &pitch, b, c, 4))                                                \
  X("free", cuMemFree_v2(pointers[a].pointer))                                                                         \
  X("async", cuMemAllocAsync(&pointers[a].pointer, b *MIB, streams[c]))                                                \
  X("freeasync", cuMemFreeAsync(pointers[a].pointer, streams[b]))                                                      \
  X("keep", keep(a *MIB))                                                                                              \
  X("trim", cuMemPoolTrimTo(pool, a *MIB))                                                                             \
  X("create", cuMemCreate(&handles[a], b *MIB, properties(c != 0), 0))                                                 \
  X("reserve", cuMemAddressReserve(&pointers[a].pointer, pointers[a].bytes = b * MIB, 0, 0, 0))                        \
  X("map", cuMemMap(pointers[a].pointer + c * MIB, d * MIB, 0, handles[b], 0))                                         \
  X("access", give_access(pointers[a].pointer + b * MIB, c * MIB))                                                     \
  X("unmap", cuMemUnmap(pointers[a].pointer + b * MIB, c * MIB))                                                       \
  X("release", cuMemRelease(handles[a]))                                                                               \
  X("unreserve", cuMemAddressFree(pointers[a].pointer, pointers[a].bytes))                                             \
  X("export", export_handle(handles[a]))                                                                               \
  X("ipc", cuIpcGetMemHandle(&(CUipcMemHandle){{0}}, pointers[a].pointer))                                             \
  X("stream", cuStreamCreate(&streams[a], CU_STREAM_NON_BLOCKING))                                                     \
  X("sync", cuStreamSynchronize(streams[a]))                                                                           \
  X("launch", launch(streams[a], b))                                                                                   \
  X("clear", cuMemsetD8Async(pointers[a].pointer, 0, b *MIB, streams[c]))                                              \
  X("copy", cuMemcpyDtoDAsync_v2(pointers[a].pointer, pointers[b].pointer, c *MIB, streams[d]))                        \
  X("capture", cuStreamBeginCapture_v2(streams[a], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))                               \
  X("captured", end_capture(a, streams[b]))                                                                            \
  X("graph", cuGraphLaunch(graphs[a], streams[b]))                                                                     \
  X("ungraph", cuGraphExecDestroy(graphs[a]))                                                                          \
  X("nulls", say_nulls())

static void replay(const char *word, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  size_t pitch = 0;
  CHECK(a < MOST);
#define CALL(name, call)                                                                                               \
  if (strcmp(word, name) == 0) {                                                                                       \
    printf(" %d %zu\n", (int)(call), pitch);                                                                           \
    return;                                                                                                            \
  }
  WORDS(CALL)
#undef CALL
  fprintf(stderr, "%s: no such word\n", word);
  exit(2);
}

int main(int argc, char **argv) {
  char line[256];
  CHECK(argc == 2);
  FILE *file = fopen(argv[1], "r");
  CHECK(file != NULL);
  (void)share_open();
  kernel = share_kernel(1000);
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceGetDefaultMemPool(&pool, 0));
  while (fgets(line, sizeof line, file) != NULL) {
    char word[32];
    unsigned long long numbers[4] = {0};
    if (line[0] == '#' ||
        sscanf(line, "%31s %llu %llu %llu %llu", word, &numbers[0], &numbers[1], &numbers[2], &numbers[3]) < 1) {
      continue;
    }
    line[strcspn(line, "\n")] = '\0';
    printf("%s:", line);
    replay(word, numbers[0], numbers[1], numbers[2], numbers[3]);
  }
  return fclose(file);
}
