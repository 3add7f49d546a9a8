/*
 * Random sequences of one thread's calls, after each of which what is charged is what the driver holds: handles and
 * mappings of physical memory that go in any order, pools that grow and shrink, contexts of two devices in turn. Run
 * inside a share of 1000 MiB on each of two devices. The seed is printed and can be given as an argument.
 */
#include <unistd.h>

#include "share.h"

#define STEPS 1500U
#define PIECES 4U
#define PIECE (16 * MIB)

static unsigned int seed = 1;

static unsigned int draw(unsigned int below) { return (unsigned int)rand_r(&seed) % below; }

static uint64_t used_on(unsigned int index) {
  nvmlDevice_t device;
  nvmlMemory_t memory;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(index, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetMemoryInfo(device, &memory));
  return memory.used;
}

static void check_agreement(void) {
  for (int device = 0; device < 2; device++) {
    CHECK_EQUAL(hami_fake_used_bytes((int32_t)getpid(), device), used_on((unsigned int)device));
  }
}

/* One allocation: handles to it, and up to two mappings. */
struct piece {
  unsigned int handles;
  CUmemGenericAllocationHandle handle;
  CUdeviceptr mapped[2];
};

static void begin_piece(struct piece *piece) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)draw(2)}};
  CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&piece->handle, PIECE, &props, 0));
  piece->handles = 1;
}

static void map_or_unmap(struct piece *piece) {
  CUdeviceptr *place = &piece->mapped[draw(2)];
  if (*place != 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemUnmap(*place, PIECE));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressFree(*place, PIECE));
    *place = 0;
  } else if (piece->handles > 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressReserve(place, PIECE, 0, 0, 0));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemMap(*place, PIECE, 0, piece->handle, 0));
  }
}

static void retain_or_release(struct piece *piece) {
  CUdeviceptr mapped = piece->mapped[0] != 0 ? piece->mapped[0] : piece->mapped[1];
  if (draw(2) == 0 && mapped != 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRetainAllocationHandle(&piece->handle, (void *)(uintptr_t)(mapped + draw(PIECE))));
    piece->handles++;
  } else if (piece->handles > 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(piece->handle));
    piece->handles--;
  }
}

static void physical_memory_lives_while_anything_refers_to_it(void) {
  struct piece pieces[PIECES] = {{0}};
  for (unsigned int step = 0; step < STEPS; step++) {
    struct piece *piece = &pieces[draw(PIECES)];
    if (piece->handles == 0 && piece->mapped[0] == 0 && piece->mapped[1] == 0) {
      begin_piece(piece);
    } else if (draw(2) == 0) {
      map_or_unmap(piece);
    } else {
      retain_or_release(piece);
    }
    check_agreement();
  }
}

/* What outlives its pool keeps, for all that can be known, the whole pool: cuda.h says that its resources are released
 * when nothing of it is outstanding. */
static void check_pools(bool orphans) {
  if (orphans) {
    CHECK(used_on(0) >= hami_fake_used_bytes((int32_t)getpid(), 0));
  } else {
    check_agreement();
  }
}

static void pools_cost_what_they_hold(void) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemoryPool pool = NULL;
  CUdeviceptr held[PIECES] = {0};
  unsigned int owners[PIECES] = {0};
  unsigned int generation = 0; /* of the pool: its address may come back */
  for (unsigned int step = 0; step < STEPS; step++) {
    unsigned int at = draw(PIECES);
    CUdeviceptr *place = &held[at];
    cuuint64_t kept = (cuuint64_t)draw(3) * 40 * MIB;
    if (pool == NULL) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolCreate(&pool, &props));
      CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &kept));
    } else if (*place != 0) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(*place, NULL));
      *place = 0;
    } else {
      switch (draw(8)) {
      case 0:
        CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolTrimTo(pool, kept));
        break;
      case 1:
        CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
        break;
      case 2:
        CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolDestroy(pool)); /* what is out of it stays until it is freed */
        pool = NULL;
        generation++;
        break;
      default:
        CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocFromPoolAsync(place, (1 + draw(60)) * MIB, pool, NULL));
        owners[at] = generation;
      }
    }
    bool orphans = false;
    for (unsigned int i = 0; i < PIECES; i++) {
      orphans = orphans || (held[i] != 0 && owners[i] != generation);
    }
    check_pools(orphans);
  }
  for (unsigned int i = 0; i < PIECES; i++) {
    CHECK(held[i] == 0 || cuMemFreeAsync(held[i], NULL) == CUDA_SUCCESS);
  }
  CHECK(pool == NULL || cuMemPoolDestroy(pool) == CUDA_SUCCESS);
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
  check_agreement();
}

static void a_free_is_the_devices_whose_memory_it_is(void) {
  CUcontext contexts[2];
  CUdeviceptr held[PIECES] = {0};
  for (int device = 0; device < 2; device++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&contexts[device], device));
  }
  for (unsigned int step = 0; step < STEPS; step++) {
    CUdeviceptr *place = &held[draw(PIECES)];
    CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(contexts[draw(2)]));
    if (*place == 0) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(place, (1 + draw(100)) * MIB));
    } else {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(*place)); /* whichever context is current */
      *place = 0;
    }
    check_agreement();
  }
  for (unsigned int i = 0; i < PIECES; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(held[i]));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(contexts[0]));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRelease_v2(1));
  check_agreement();
}

int main(int argc, char **argv) {
  seed = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : seed;
  printf("seed %u\n", seed);
  (void)share_open();
  RUN(physical_memory_lives_while_anything_refers_to_it);
  RUN(pools_cost_what_they_hold);
  RUN(a_free_is_the_devices_whose_memory_it_is);
  return 0;
}
