/*
 * Every way to get device memory: what it costs is counted, more than the share is refused with the API's own code and
 * leaves nothing behind, and giving it back balances to zero. Run inside a share of 1000 MiB.
 */
#include "share.h"

/* One way: `get` returns the driver's code and leaves what `put` needs in `held`. */
struct held {
  CUdeviceptr value; /* or a handle */
  CUdeviceptr second;
};

struct path {
  const char *name;
  CUresult (*get)(size_t bytes, struct held *held);
  CUresult (*put)(const struct held *held);
};

static CUresult get_linear(size_t bytes, struct held *held) { return cuMemAlloc_v2(&held->value, bytes); }
static CUresult put_linear(const struct held *held) { return cuMemFree_v2(held->value); }

static CUresult get_managed(size_t bytes, struct held *held) {
  return cuMemAllocManaged(&held->value, bytes, CU_MEM_ATTACH_GLOBAL);
}

static CUresult get_pitched(size_t bytes, struct held *held) {
  size_t pitch;
  return cuMemAllocPitch_v2(&held->value, &pitch, 1000, bytes / 1000, 4);
}

static CUresult get_async(size_t bytes, struct held *held) { return cuMemAllocAsync(&held->value, bytes, NULL); }
static CUresult put_async(const struct held *held) {
  CUresult result = cuMemFreeAsync(held->value, NULL);
  return result == CUDA_SUCCESS ? cuStreamSynchronize(NULL) : result;
}
static CUresult put_async_then_context(const struct held *held) {
  CUresult result = cuMemFreeAsync(held->value, NULL);
  return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
}
static CUresult put_pool_memory_at_once(const struct held *held) {
  CUresult result = cuMemFree_v2(held->value);
  return result == CUDA_SUCCESS ? cuCtxSynchronize() : result;
}

static CUresult get_async_per_thread(size_t bytes, struct held *held) {
  return cuMemAllocAsync_ptsz(&held->value, bytes, NULL);
}
static CUresult put_async_per_thread(const struct held *held) {
  CUresult result = cuMemFreeAsync_ptsz(held->value, NULL);
  return result == CUDA_SUCCESS ? cuStreamSynchronize_ptsz(NULL) : result;
}

static CUresult get_from_pool_in(CUmemLocation location, size_t bytes, struct held *held) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = location};
  CUmemoryPool pool;
  CUresult result = cuMemPoolCreate(&pool, &props);
  if (result != CUDA_SUCCESS) {
    return result;
  }
  cuuint64_t keep = UINT64_MAX; /* nothing goes back by itself */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  held->second = (uintptr_t)pool;
  result = cuMemAllocFromPoolAsync(&held->value, bytes, pool, NULL);
  if (result != CUDA_SUCCESS) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolDestroy(pool));
  }
  return result;
}
static CUresult get_from_pool(size_t bytes, struct held *held) {
  return get_from_pool_in((CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}, bytes, held);
}
static CUresult get_from_localized_pool(size_t bytes, struct held *held) {
  CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN, .localized = {.deviceId = 0}};
  return get_from_pool_in(location, bytes, held);
}
static CUresult put_from_pool(const struct held *held) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(held->value, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  return cuMemPoolDestroy((CUmemoryPool)(uintptr_t)held->second);
}
static CUresult put_pool_first(const struct held *held) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolDestroy((CUmemoryPool)(uintptr_t)held->second));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(held->value, NULL));
  return cuCtxSynchronize();
}
static CUresult put_trimmed(const struct held *held) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(held->value, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolTrimTo((CUmemoryPool)(uintptr_t)held->second, 0));
  return CUDA_SUCCESS; /* the empty pool itself costs nothing */
}

static CUmemAllocationProp device_memory(void) {
  return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
}

static CUresult get_physical(size_t bytes, struct held *held) {
  CUmemAllocationProp props = device_memory();
  CUmemGenericAllocationHandle handle;
  CUresult result = cuMemCreate(&handle, bytes / (2 * MIB) * (2 * MIB), &props, 0);
  held->value = handle;
  return result;
}
static CUresult put_physical(const struct held *held) { return cuMemRelease(held->value); }

static CUresult get_localized(size_t bytes, struct held *held) {
  CUmemAllocationProp props = device_memory();
  CUmemGenericAllocationHandle handle;
  props.location = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN, .localized = {.deviceId = 0}};
  CUresult result = cuMemCreate(&handle, bytes / (2 * MIB) * (2 * MIB), &props, 0);
  held->value = handle;
  return result;
}

static CUresult get_mapped(size_t bytes, struct held *held) {
  bytes = bytes / (2 * MIB) * (2 * MIB);
  CUmemAllocationProp props = device_memory();
  CUmemGenericAllocationHandle handle;
  CUresult result = cuMemCreate(&handle, bytes, &props, 0);
  if (result != CUDA_SUCCESS) {
    return result;
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressReserve(&held->value, bytes, 0, 0, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMap(held->value, bytes, 0, handle, 0));
  uint64_t with_handle = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(with_handle, share_used()); /* the mapping keeps it */
  CUmemGenericAllocationHandle again;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(held->value + 4096)));
  held->second = again;
  return result;
}
static CUresult put_mapped(const struct held *held) {
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemUnmap(held->value, 100 * MIB));
  CHECK_EQUAL(before, share_used()); /* the retained handle keeps it */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(held->second));
  return cuMemAddressFree(held->value, 100 * MIB);
}

static CUresult get_array(size_t bytes, struct held *held) {
  CUDA_ARRAY_DESCRIPTOR shape = {.Width = 1024, .Height = bytes / 4096, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  CUarray array;
  CUresult result = cuArrayCreate_v2(&array, &shape);
  held->value = (uintptr_t)array;
  return result;
}
static CUresult get_array_3d(size_t bytes, struct held *held) {
  CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = 256,
                                   .Height = 256,
                                   .Depth = bytes / (256 * 256 * 4),
                                   .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                                   .NumChannels = 1};
  CUarray array;
  CUresult result = cuArray3DCreate_v2(&array, &shape);
  held->value = (uintptr_t)array;
  return result;
}
static CUresult put_array(const struct held *held) { return cuArrayDestroy((CUarray)(uintptr_t)held->value); }

static CUresult get_mipmap(size_t bytes, struct held *held) {
  CUDA_ARRAY3D_DESCRIPTOR shape = {
      .Width = 1024, .Height = bytes / 4096, .Depth = 0, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  CUmipmappedArray array;
  CUresult result = cuMipmappedArrayCreate(&array, &shape, 3);
  held->value = (uintptr_t)array;
  return result;
}
static CUresult put_mipmap(const struct held *held) {
  return cuMipmappedArrayDestroy((CUmipmappedArray)(uintptr_t)held->value);
}

static CUresult get_graph(size_t bytes, struct held *held) {
  CUgraph graph;
  CUgraphNode node;
  CUgraphExec exec;
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphCreate(&graph, 0));
  CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                     .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
                                       .bytesize = bytes};
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
  CUresult result = cuGraphInstantiateWithFlags(&exec, graph, 0);
  if (result == CUDA_SUCCESS) {
    result = cuGraphLaunch(exec, NULL);
    CHECK_EQUAL(CUDA_SUCCESS, cuGraphExecDestroy(exec));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  held->value = params.dptr;
  return result;
}
static CUresult put_graph(const struct held *held) {
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(held->value));
  return cuDeviceGraphMemTrim(0);
}

/* Uploading takes the memory before anything is launched. */
static CUresult get_uploaded(size_t bytes, struct held *held) {
  CUgraph graph;
  CUgraphNode node;
  CUgraphExec exec;
  CUDA_GRAPH_INSTANTIATE_PARAMS how = {.flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD};
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphCreate(&graph, 0));
  CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                     .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
                                       .bytesize = bytes};
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
  CUresult result = cuGraphInstantiateWithParams(&exec, graph, &how);
  CHECK_EQUAL(result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR, how.result_out);
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  held->value = (uintptr_t)exec;
  return result;
}
static CUresult put_uploaded(const struct held *held) {
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphExecDestroy((CUgraphExec)(uintptr_t)held->value));
  return cuDeviceGraphMemTrim(0);
}

static CUresult get_captured(size_t bytes, struct held *held) {
  CUstream stream;
  CUgraph graph;
  CUgraphExec exec;
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&held->value, bytes, stream));
  CHECK_EQUAL(before, share_used()); /* recorded, not allocated */
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamEndCapture(stream, &graph));
  CUresult result = cuGraphInstantiateWithFlags(&exec, graph, 0);
  if (result == CUDA_SUCCESS) {
    result = cuGraphLaunch(exec, stream);
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(stream));
    CHECK_EQUAL(CUDA_SUCCESS, cuGraphExecDestroy(exec));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamDestroy_v2(stream));
  return result;
}

static const struct path paths[] = {
    {"cuMemAlloc", get_linear, put_linear},
    {"cuMemAllocManaged", get_managed, put_linear},
    {"cuMemAllocPitch", get_pitched, put_linear},
    {"cuMemAllocAsync", get_async, put_async},
    {"cuMemAllocAsync, context synchronised", get_async, put_async_then_context},
    {"cuMemAllocAsync, freed with cuMemFree", get_async, put_pool_memory_at_once},
    {"cuMemAllocAsync_ptsz", get_async_per_thread, put_async_per_thread},
    {"cuMemAllocFromPoolAsync", get_from_pool, put_from_pool},
    {"cuMemAllocFromPoolAsync, pool destroyed first", get_from_pool, put_pool_first},
    {"cuMemAllocFromPoolAsync, pool trimmed", get_from_pool, put_trimmed},
    {"cuMemCreate", get_physical, put_physical},
    {"cuMemCreate, mapped", get_mapped, put_mapped},
    {"cuArrayCreate", get_array, put_array},
    {"cuArray3DCreate", get_array_3d, put_array},
    {"cuMipmappedArrayCreate", get_mipmap, put_mipmap},
    {"cuGraphAddMemAllocNode", get_graph, put_graph},
    {"cuGraphInstantiateWithParams, uploading", get_uploaded, put_uploaded},
    {"cuMemCreate, in a part of the device", get_localized, put_physical},
    {"cuMemPoolCreate, in a part of the device", get_from_localized_pool, put_from_pool},
    {"cuMemAllocAsync, captured", get_captured, put_graph},
};

static void check_counted(const struct path *path) {
  struct held held = {0, 0};
  uint64_t before = share_used();
  uint64_t held_before = device_used();
  CHECK_EQUAL(CUDA_SUCCESS, path->get(100 * MIB, &held));
  uint64_t counted = share_used() - before;
  CHECK(counted >= 99 * MIB && counted <= 140 * MIB); /* pools and mipmaps hold more than was asked for */
  CHECK(device_used() - held_before >= 99 * MIB);
  CHECK_EQUAL(share_total() - share_used(), share_free());
  CHECK_EQUAL(CUDA_SUCCESS, path->put(&held));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(held_before, device_used());
}

static void check_refused(const struct path *path) {
  struct held held = {0, 0};
  uint64_t before = share_used();
  uint64_t held_before = device_used();
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, path->get(1200 * MIB, &held));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(held_before, device_used());
}

/* What the card cannot give is refused by the driver; the books are as before. */
static void check_full_share(const struct path *path) {
  struct held held = {0, 0};
  CUdeviceptr rest;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&rest, share_free() - 50 * MIB));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, path->get(100 * MIB, &held));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(rest));
  CHECK_EQUAL(before, share_used());
}

int main(void) {
  (void)share_open();
  CHECK_EQUAL(1000 * MIB, share_total());
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    printf("%s\n", paths[i].name);
    fflush(stdout);
    check_counted(&paths[i]);
    check_refused(&paths[i]);
    check_full_share(&paths[i]);
    check_counted(&paths[i]);
  }
  return 0;
}
