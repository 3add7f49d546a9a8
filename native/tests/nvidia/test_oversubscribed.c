/*
 * A share larger than the card (60000 MiB on 45416): what does not fit on the card is host memory, whatever call it was
 * asked for by, and everything that is true of device memory is true of it. Simulated time stands still unless somebody
 * waits, so that "not yet done" is sure.
 *
 *   nvidia_test_oversubscribed [refused]      refused: the share may not oversubscribe, or the driver cannot
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define SHARE_MIB 60000ULL
#define PIECE_MIB 200ULL
#define WIDTH_BYTES 1000U /* of a row, no multiple of anything */

struct piece {
  CUdeviceptr pointer; /* or a handle */
  CUstream stream;
};

static CUdeviceptr filling;
static CUmemoryPool pool;
static uint64_t full_bytes; /* what the card holds of ours when it is full */

/* Leaves less than a piece on the card. */
static void fill_the_card(void) {
  uint64_t room = 45416 * MIB - device_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&filling, room - 16 * MIB));
  full_bytes = device_used();
}

static CUresult get_linear(struct piece *piece, size_t bytes) { return cuMemAlloc_v2(&piece->pointer, bytes); }
static CUresult put_linear(const struct piece *piece) { return cuMemFree_v2(piece->pointer); }
static CUresult get_pitched(struct piece *piece, size_t bytes) {
  size_t pitch;
  return cuMemAllocPitch_v2(&piece->pointer, &pitch, 4096, bytes / 4096, 4);
}
static CUresult get_managed(struct piece *piece, size_t bytes) {
  return cuMemAllocManaged(&piece->pointer, bytes, CU_MEM_ATTACH_GLOBAL);
}
static CUresult get_ordered(struct piece *piece, size_t bytes) {
  return cuMemAllocAsync(&piece->pointer, bytes, piece->stream);
}
static CUresult get_ordered_for_thread(struct piece *piece, size_t bytes) {
  return cuMemAllocAsync_ptsz(&piece->pointer, bytes, NULL);
}
static CUresult get_pooled(struct piece *piece, size_t bytes) {
  return cuMemAllocFromPoolAsync(&piece->pointer, bytes, pool, piece->stream);
}
static CUresult put_ordered(const struct piece *piece) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(piece->pointer, piece->stream));
  return cuCtxSynchronize();
}
static CUresult put_ordered_for_thread(const struct piece *piece) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync_ptsz(piece->pointer, NULL));
  return cuCtxSynchronize();
}
static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes, CUmemAllocationHandleType handles) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .requestedHandleTypes = handles,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                               .allocFlags = {.gpuDirectRDMACapable = 1}};
  return cuMemCreate(handle, bytes, &props, 0);
}
static CUresult get_physical(struct piece *piece, size_t bytes) {
  return create((CUmemGenericAllocationHandle *)&piece->pointer, bytes, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
}
static CUresult put_physical(const struct piece *piece) { return cuMemRelease(piece->pointer); }

static const struct way {
  const char *name;
  CUresult (*get)(struct piece *piece, size_t bytes);
  CUresult (*put)(const struct piece *piece);
} ways[] = {
    {"cuMemAlloc", get_linear, put_linear},
    {"cuMemAlloc, freed in stream order", get_linear, put_ordered},
    {"cuMemAllocPitch", get_pitched, put_linear},
    {"cuMemAllocManaged", get_managed, put_linear},
    {"cuMemAllocAsync", get_ordered, put_ordered},
    {"cuMemAllocAsync of a thread's stream", get_ordered_for_thread, put_ordered_for_thread},
    {"cuMemAllocAsync, freed plainly", get_ordered, put_linear},
    {"cuMemAllocFromPoolAsync", get_pooled, put_ordered},
    {"cuMemCreate", get_physical, put_physical},
};
#define WAYS (sizeof ways / sizeof *ways)

/* By all ways of asking: inside the share, and outside, where the driver's double counts. */
static void check_numbers(uint64_t used) {
  size_t available;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(SHARE_MIB * MIB, total);
  CHECK_EQUAL(total - used, available);
  CHECK_EQUAL(used, share_used());
  CHECK_EQUAL(available, share_free());
  CHECK_EQUAL(total, share_total());
}

static void every_way_of_allocating_goes_on_in_host_memory(void) {
  uint64_t before = share_used();
  for (size_t i = 0; i < WAYS; i++) {
    struct piece piece = {0};
    printf("  %s\n", ways[i].name);
    CHECK_EQUAL(CUDA_SUCCESS, ways[i].get(&piece, PIECE_MIB * MIB));
    check_numbers(before + PIECE_MIB * MIB);
    CHECK(device_used() <= full_bytes + 16 * MIB); /* the program's own managed memory takes what room there is */
    CHECK_EQUAL(CUDA_SUCCESS, ways[i].put(&piece));
    check_numbers(before);
    CHECK_EQUAL(full_bytes, device_used());
  }
}

static void no_way_leads_past_the_share(void) {
  uint64_t before = share_used();
  for (size_t i = 0; i < WAYS; i++) {
    struct piece piece = {0};
    printf("  %s\n", ways[i].name);
    CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, ways[i].get(&piece, SHARE_MIB * MIB - before + 2 * MIB));
    check_numbers(before);
  }
  CHECK_EQUAL(full_bytes, device_used());
}

static void what_fits_on_the_card_is_device_memory(void) {
  CUdeviceptr pointer;
  unsigned int managed = 1;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 8 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, pointer));
  CHECK_EQUAL(0, managed);
  CHECK_EQUAL(full_bytes + 8 * MIB, device_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
}

/* Room that comes back is used by the next allocation; what lies in host memory stays there. */
static void free_room_is_used_again(void) {
  CUdeviceptr spilled;
  CUdeviceptr pointer;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&spilled, PIECE_MIB * MIB));
  CHECK_EQUAL(full_bytes, device_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(filling));
  uint64_t empty_bytes = device_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, PIECE_MIB * MIB));
  CHECK_EQUAL(empty_bytes + PIECE_MIB * MIB, device_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(spilled));
  CHECK_EQUAL(empty_bytes, device_used());
  fill_the_card();
}

static void rows_have_the_drivers_pitch(void) {
  CUdeviceptr pointer;
  size_t here;
  size_t there;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocPitch_v2(&pointer, &here, WIDTH_BYTES, 4, 4)); /* fits */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocPitch_v2(&pointer, &there, WIDTH_BYTES, PIECE_MIB * 1024, 4));
  CHECK_EQUAL(here, there);
  CHECK_EQUAL(before + there * PIECE_MIB * 1024, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
}

static CUfunction kernel_of(uint64_t nanoseconds) {
  char ptx[256];
  CUmodule module;
  CUfunction kernel;
  snprintf(ptx, sizeof ptx,
           ".version 8.0\n.target sm_80\n// hami-fake: ns=%llu\n.visible .entry use(.param .u64 data) { ret; }\n",
           (unsigned long long)nanoseconds);
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleLoadData(&module, ptx));
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleGetFunction(&kernel, module, "use"));
  return kernel;
}

static void use(CUfunction kernel, CUdeviceptr data, CUstream stream) {
  void *arguments[] = {&data};
  CHECK_EQUAL(CUDA_SUCCESS, cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, arguments, NULL));
}

/* Not one page of the card is left, so memory that moved there on access would end the kernel. */
static void kernels_reach_it_on_a_full_card(void) {
  CUdeviceptr rest;
  CUfunction kernel = kernel_of(1000);
  uint64_t room = 45416 * MIB - device_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&rest, room));
  for (size_t i = 0; i < WAYS; i++) {
    struct piece piece = {0};
    if (ways[i].get == get_managed || ways[i].get == get_physical) {
      continue; /* the program's own choice; and a handle is no address */
    }
    CHECK_EQUAL(CUDA_SUCCESS, ways[i].get(&piece, PIECE_MIB * MIB));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemsetD8_v2(piece.pointer, 7, 4096));
    uint64_t began_ns = hami_fake_now_ns();
    use(kernel, piece.pointer, NULL);
    CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
    CHECK(hami_fake_now_ns() - began_ns > 1000000); /* over the bus */
    unsigned char value = 0;
    CHECK_EQUAL(CUDA_SUCCESS, cuMemcpyDtoH_v2(&value, piece.pointer + 4095, 1));
    CHECK_EQUAL(7, value);
    CHECK_EQUAL(CUDA_SUCCESS, ways[i].put(&piece));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(rest));
}

/* As an allocator of expandable segments works: create, map, give the handle away, allow access. */
static void mapped_memory_works_as_ever(void) {
  const size_t bytes = PIECE_MIB * MIB;
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemGenericAllocationHandle handle;
  CUmemGenericAllocationHandle again;
  CUdeviceptr address;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressReserve(&address, bytes, 0, 0, 0));
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, bytes, CU_MEM_HANDLE_TYPE_NONE));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMap(address, bytes, 0, handle, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemSetAccess(address, bytes, &access, 1));
  use(kernel_of(1000), address, NULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before + bytes, share_used()); /* the mapping keeps it */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)address));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemUnmap(address, bytes));
  CHECK_EQUAL(before + bytes, share_used()); /* the handle does */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(again));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressFree(address, bytes));
}

/* Memory that is meant for another process, for a fabric or as tiles has to be what was asked for. */
static void what_host_memory_cannot_be_gets_the_drivers_answer(void) {
  CUmemAllocationProp tiles = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                               .allocFlags = {.usage = CU_MEM_CREATE_USAGE_TILE_POOL}};
  CUmemPoolProps shared = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                           .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                           .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemPoolProps capped = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                           .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                           .maxSize = PIECE_MIB * MIB / 2};
  const CUmemPoolProps *special[] = {&shared, &capped};
  CUDA_ARRAY_DESCRIPTOR shape = {
      .Width = 4096, .Height = PIECE_MIB * 64, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  CUmemGenericAllocationHandle handle;
  CUdeviceptr pointer;
  CUarray array;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&handle, PIECE_MIB * MIB, &tiles, 0));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&handle, PIECE_MIB * MIB, CU_MEM_HANDLE_TYPE_FABRIC));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuArrayCreate_v2(&array, &shape));
  for (int i = 0; i < 2; i++) {
    CUmemoryPool made;
    CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolCreate(&made, special[i]));
    CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocFromPoolAsync(&pointer, PIECE_MIB * MIB, made, NULL));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolDestroy(made));
  }
  CHECK_EQUAL(before, share_used());
}

/* The memory goes back when the work before the free is done, and nobody waits for that but who needs it. */
static void a_free_keeps_the_order_of_its_stream(void) {
  CUstream stream;
  CUdeviceptr pointer;
  CUfunction kernel = kernel_of(3000000000ULL);
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, PIECE_MIB * MIB, stream));
  use(kernel, pointer, stream);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, stream));
  CHECK_EQUAL(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  CHECK_EQUAL(before + PIECE_MIB * MIB, share_used());
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(pointer, stream)); /* a second time */
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(pointer));
  CUdeviceptr early;
  CUdeviceptr late;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&early, MIB)); /* would give it back if the kernel were done */
  CHECK_EQUAL(before + PIECE_MIB * MIB + MIB, share_used());
  CHECK_EQUAL(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(stream)); /* gives nothing back: it waits for one stream only */
  CHECK_EQUAL(before + PIECE_MIB * MIB + MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&late, MIB));
  CHECK_EQUAL(before + 2 * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(early));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(late));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamDestroy_v2(stream));
}

static void a_free_into_a_wrong_stream_is_the_drivers_business(void) {
  CUdeviceptr pointer;
  uint64_t before = share_used();
  int nothing = 0;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, PIECE_MIB * MIB, NULL));
  CHECK(cuMemFreeAsync(pointer, (CUstream)(void *)&nothing) != CUDA_SUCCESS);
  CHECK_EQUAL(before + PIECE_MIB * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before, share_used());
}

static void *synchronise(void *context) {
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  (void)usleep(50000);
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
  return NULL;
}

/* What a pending free holds is not missing for long: the request waits, here for another thread to pass the time. */
static void a_request_waits_for_pending_frees(void) {
  CUdeviceptr pointer;
  CUdeviceptr next;
  CUcontext context;
  pthread_t thread;
  uint64_t room = SHARE_MIB * MIB - share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxGetCurrent(&context));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, room, NULL));
  use(kernel_of(1000000000ULL), pointer, NULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, NULL));
  CHECK(pthread_create(&thread, NULL, synchronise, context) == 0);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&next, room, NULL));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(next));
  /* And it gives up when the work goes on and on. */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, room, NULL));
  use(kernel_of(1000000000ULL), pointer, NULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, NULL));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync(&next, room, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(SHARE_MIB * MIB - room, share_used());
}

static void a_context_takes_what_it_has_not_given_back_yet(void) {
  CUcontext own;
  CUcontext popped;
  CUdeviceptr pointer;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(filling)); /* a context needs room */
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&own, 0, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&filling, 45416 * MIB - device_used()));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, PIECE_MIB * MIB, NULL));
  use(kernel_of(1000000000ULL), pointer, NULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(own)); /* with the filling and what waits */
  (void)cuCtxPopCurrent_v2(&popped);
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&own, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(own));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRelease_v2(0));
  fill_the_card();
  CHECK_EQUAL(before, share_used());
}

static CUgraph end_capture(CUstream stream) {
  CUgraph graph = NULL;
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamEndCapture(stream, &graph));
  return graph;
}

/* Inside a capture an allocation is a node of the graph; beside one, nothing of ours may end it. */
static void captures_stay_whole(void) {
  CUstream capturing;
  CUstream other;
  CUdeviceptr recorded;
  CUdeviceptr pointer;
  CUdeviceptr waiting;
  size_t nodes = 0;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&capturing, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&waiting, PIECE_MIB * MIB, other));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(waiting, other));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamBeginCapture_v2(capturing, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&recorded, PIECE_MIB * MIB, capturing));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, PIECE_MIB * MIB, other)); /* gives back what waited, too */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, other));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(recorded, capturing));
  CUgraph graph = end_capture(capturing);
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphGetNodes(graph, NULL, &nodes));
  CHECK_EQUAL(2, nodes);
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamDestroy_v2(other));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamDestroy_v2(capturing));
}

static void a_child_has_nothing_to_give_back(void) {
  CUdeviceptr pointer;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pointer, PIECE_MIB * MIB, NULL));
  use(kernel_of(1000000000ULL), pointer, NULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pointer, NULL));
  (void)fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    CUdeviceptr none;
    CHECK(cuMemAlloc_v2(&none, MIB) != CUDA_SUCCESS); /* no driver for children; nothing hangs */
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
  CHECK_EQUAL(before + PIECE_MIB * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before, share_used());
}

/* The share may not, or the driver cannot: its own answer, and no trace in the books. */
static void every_way_gets_the_drivers_answer(void) {
  uint64_t before = share_used();
  for (size_t i = 0; i < WAYS; i++) {
    struct piece piece = {0};
    if (ways[i].get == get_managed) {
      continue;
    }
    printf("  %s\n", ways[i].name);
    CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, ways[i].get(&piece, PIECE_MIB * MIB));
    CHECK_EQUAL(before, share_used());
    CHECK_EQUAL(full_bytes, device_used());
  }
}

int main(int count, char **arguments) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  (void)share_open();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolCreate(&pool, &props));
  fill_the_card();
  if (count > 1 && strcmp(arguments[1], "refused") == 0) {
    RUN(every_way_gets_the_drivers_answer);
    return 0;
  }
  RUN(every_way_of_allocating_goes_on_in_host_memory);
  RUN(no_way_leads_past_the_share);
  RUN(what_fits_on_the_card_is_device_memory);
  RUN(free_room_is_used_again);
  RUN(rows_have_the_drivers_pitch);
  RUN(kernels_reach_it_on_a_full_card);
  RUN(mapped_memory_works_as_ever);
  RUN(what_host_memory_cannot_be_gets_the_drivers_answer);
  RUN(a_free_keeps_the_order_of_its_stream);
  RUN(a_free_into_a_wrong_stream_is_the_drivers_business);
  RUN(a_request_waits_for_pending_frees);
  RUN(captures_stay_whole);
  RUN(a_child_has_nothing_to_give_back);
  RUN(a_context_takes_what_it_has_not_given_back_yet);
  return 0;
}
