/* The copy and fill entry points: each says what it moves, and whether it waits. */
#include <string.h>

#include "driver.h"

static CUresult submit(CUstream stream, const CUDA_MEMCPY3D *copy) {
  struct fake_work work = {.kind = FAKE_WORK_COPY};
  work.as.copy = *copy;
  return fake_work_submit(stream, &work);
}

/* A copy without a stream waits for what the default stream waits for, then is done when it returns. */
static CUresult immediate(const CUDA_MEMCPY3D *copy) {
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(NULL, &stream));
  if (stream->capture != NULL) {
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  if (fake_per_thread()) {
    fake_stream_wait(stream);
  } else {
    fake_context_wait_blocking(stream->context);
  }
  return fake_copy_now(copy);
}

static CUDA_MEMCPY3D line(CUdeviceptr destination, CUdeviceptr source, size_t bytes) {
  return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_UNIFIED,
                         .srcDevice = source,
                         .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
                         .dstDevice = destination,
                         .WidthInBytes = bytes,
                         .Height = 1,
                         .Depth = 1};
}

static CUDA_MEMCPY3D plane(const CUDA_MEMCPY2D *copy) {
  return (CUDA_MEMCPY3D){.srcXInBytes = copy->srcXInBytes,
                         .srcY = copy->srcY,
                         .srcMemoryType = copy->srcMemoryType,
                         .srcHost = copy->srcHost,
                         .srcDevice = copy->srcDevice,
                         .srcArray = copy->srcArray,
                         .srcPitch = copy->srcPitch,
                         .dstXInBytes = copy->dstXInBytes,
                         .dstY = copy->dstY,
                         .dstMemoryType = copy->dstMemoryType,
                         .dstHost = copy->dstHost,
                         .dstDevice = copy->dstDevice,
                         .dstArray = copy->dstArray,
                         .dstPitch = copy->dstPitch,
                         .WidthInBytes = copy->WidthInBytes,
                         .Height = copy->Height,
                         .Depth = 1};
}

static CUDA_MEMCPY3D between(const CUDA_MEMCPY3D_PEER *copy) {
  return (CUDA_MEMCPY3D){.srcXInBytes = copy->srcXInBytes,
                         .srcY = copy->srcY,
                         .srcZ = copy->srcZ,
                         .srcMemoryType = copy->srcMemoryType,
                         .srcHost = copy->srcHost,
                         .srcDevice = copy->srcDevice,
                         .srcArray = copy->srcArray,
                         .srcPitch = copy->srcPitch,
                         .srcHeight = copy->srcHeight,
                         .dstXInBytes = copy->dstXInBytes,
                         .dstY = copy->dstY,
                         .dstZ = copy->dstZ,
                         .dstMemoryType = copy->dstMemoryType,
                         .dstHost = copy->dstHost,
                         .dstDevice = copy->dstDevice,
                         .dstArray = copy->dstArray,
                         .dstPitch = copy->dstPitch,
                         .dstHeight = copy->dstHeight,
                         .WidthInBytes = copy->WidthInBytes,
                         .Height = copy->Height,
                         .Depth = copy->Depth};
}

static CUDA_MEMCPY3D from_array(CUdeviceptr destination, CUarray source, size_t offset, size_t bytes) {
  CUDA_MEMCPY3D copy = line(destination, 0, bytes);
  copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.srcArray = source;
  copy.srcXInBytes = offset;
  return copy;
}

static CUDA_MEMCPY3D to_array(CUarray destination, size_t offset, CUdeviceptr source, size_t bytes) {
  CUDA_MEMCPY3D copy = line(0, source, bytes);
  copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.dstArray = destination;
  copy.dstXInBytes = offset;
  return copy;
}

#define ADDRESS(pointer) ((CUdeviceptr)(uintptr_t)(pointer))
#define NOW(name, parameters, made)                                                                                    \
  CUresult name parameters {                                                                                           \
    FAKE_ENTER(name);                                                                                                  \
    const CUDA_MEMCPY3D copy = made;                                                                                   \
    return immediate(&copy);                                                                                           \
  }
#define LATER(name, parameters, made)                                                                                  \
  CUresult name parameters {                                                                                           \
    FAKE_ENTER(name);                                                                                                  \
    const CUDA_MEMCPY3D copy = made;                                                                                   \
    return submit(stream, &copy);                                                                                      \
  }
#define SHAPED(made) copy_in == NULL ? (CUDA_MEMCPY3D){.Height = 1, .Depth = 1, .WidthInBytes = 1} : made

NOW(cuMemcpy, (CUdeviceptr to, CUdeviceptr from, size_t bytes), line(to, from, bytes))
NOW(cuMemcpyPeer, (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes),
    ((void)to_context, (void)from_context, line(to, from, bytes)))
NOW(cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes), line(to, ADDRESS(from), bytes))
NOW(cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes), line(ADDRESS(to), from, bytes))
NOW(cuMemcpyDtoD_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes), line(to, from, bytes))
NOW(cuMemcpyDtoA_v2, (CUarray to, size_t offset, CUdeviceptr from, size_t bytes), to_array(to, offset, from, bytes))
NOW(cuMemcpyAtoD_v2, (CUdeviceptr to, CUarray from, size_t offset, size_t bytes), from_array(to, from, offset, bytes))
NOW(cuMemcpyHtoA_v2, (CUarray to, size_t offset, const void *from, size_t bytes),
    to_array(to, offset, ADDRESS(from), bytes))
NOW(cuMemcpyAtoH_v2, (void *to, CUarray from, size_t offset, size_t bytes),
    from_array(ADDRESS(to), from, offset, bytes))
NOW(cuMemcpy2D_v2, (const CUDA_MEMCPY2D *copy_in), SHAPED(plane(copy_in)))
NOW(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D *copy_in), SHAPED(plane(copy_in)))
NOW(cuMemcpy3D_v2, (const CUDA_MEMCPY3D *copy_in), SHAPED(*copy_in))
NOW(cuMemcpy3DPeer, (const CUDA_MEMCPY3D_PEER *copy_in), SHAPED(between(copy_in)))

LATER(cuMemcpyAsync, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), line(to, from, bytes))
LATER(cuMemcpyPeerAsync,
      (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes, CUstream stream),
      ((void)to_context, (void)from_context, line(to, from, bytes)))
LATER(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream),
      line(to, ADDRESS(from), bytes))
LATER(cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, size_t bytes, CUstream stream), line(ADDRESS(to), from, bytes))
LATER(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), line(to, from, bytes))
LATER(cuMemcpyHtoAAsync_v2, (CUarray to, size_t offset, const void *from, size_t bytes, CUstream stream),
      to_array(to, offset, ADDRESS(from), bytes))
LATER(cuMemcpyAtoHAsync_v2, (void *to, CUarray from, size_t offset, size_t bytes, CUstream stream),
      from_array(ADDRESS(to), from, offset, bytes))
LATER(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D *copy_in, CUstream stream), SHAPED(plane(copy_in)))
LATER(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *copy_in, CUstream stream), SHAPED(*copy_in))
LATER(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D_PEER *copy_in, CUstream stream), SHAPED(between(copy_in)))

static CUDA_MEMSET_NODE_PARAMS fill(CUdeviceptr to, size_t pitch, unsigned value, unsigned element, size_t width,
                                    size_t height) {
  return (CUDA_MEMSET_NODE_PARAMS){
      .dst = to, .pitch = pitch, .value = value, .elementSize = element, .width = width, .height = height};
}

static CUresult fill_now(const CUDA_MEMSET_NODE_PARAMS *set) {
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(NULL, &stream));
  if (stream->capture != NULL) {
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  fake_context_wait_blocking(stream->context);
  return fake_set_now(set);
}

static CUresult fill_later(CUstream stream, const CUDA_MEMSET_NODE_PARAMS *set) {
  struct fake_work work = {.kind = FAKE_WORK_SET};
  work.as.set = *set;
  return fake_work_submit(stream, &work);
}

#define FILL(name, async_name, type, element)                                                                          \
  CUresult name(CUdeviceptr to, type value, size_t count) {                                                            \
    FAKE_ENTER(name);                                                                                                  \
    const CUDA_MEMSET_NODE_PARAMS set = fill(to, 0, value, element, count, 1);                                         \
    return fill_now(&set);                                                                                             \
  }                                                                                                                    \
  CUresult async_name(CUdeviceptr to, type value, size_t count, CUstream stream) {                                     \
    FAKE_ENTER(async_name);                                                                                            \
    const CUDA_MEMSET_NODE_PARAMS set = fill(to, 0, value, element, count, 1);                                         \
    return fill_later(stream, &set);                                                                                   \
  }
#define FILL_2D(name, async_name, type, element)                                                                       \
  CUresult name(CUdeviceptr to, size_t pitch, type value, size_t width, size_t height) {                               \
    FAKE_ENTER(name);                                                                                                  \
    const CUDA_MEMSET_NODE_PARAMS set = fill(to, pitch, value, element, width, height);                                \
    return fill_now(&set);                                                                                             \
  }                                                                                                                    \
  CUresult async_name(CUdeviceptr to, size_t pitch, type value, size_t width, size_t height, CUstream stream) {        \
    FAKE_ENTER(async_name);                                                                                            \
    const CUDA_MEMSET_NODE_PARAMS set = fill(to, pitch, value, element, width, height);                                \
    return fill_later(stream, &set);                                                                                   \
  }

FILL(cuMemsetD8_v2, cuMemsetD8Async, unsigned char, 1)
FILL(cuMemsetD16_v2, cuMemsetD16Async, unsigned short, 2)
FILL(cuMemsetD32_v2, cuMemsetD32Async, unsigned int, 4)
FILL_2D(cuMemsetD2D8_v2, cuMemsetD2D8Async, unsigned char, 1)
FILL_2D(cuMemsetD2D16_v2, cuMemsetD2D16Async, unsigned short, 2)
FILL_2D(cuMemsetD2D32_v2, cuMemsetD2D32Async, unsigned int, 4)
