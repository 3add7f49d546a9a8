#include "devices.h"

#include "hami_table.h"
#include "interpose/wrap.h"

#define BITS_PER_BYTE 8U

int hami_device_current(void) {
  __typeof__(&hipGetDevice) get_device = HAMI_REAL(hipGetDevice);
  int ordinal = 0;
  bool known = get_device != NULL && get_device(&ordinal) == hipSuccess;
  return hami_ordinals_device(known ? ordinal : 0);
}

int hami_device_of_prop(const hipMemAllocationProp *prop) {
  if (prop == NULL) {
    return hami_device_current(); /* an argument error, for the driver to report */
  }
  return prop->location.type == hipMemLocationTypeDevice ? hami_ordinals_device(prop->location.id) : HAMI_NO_DEVICE;
}

static uint64_t at_least_one(uint64_t value) { return value == 0 ? 1 : value; }

static uint64_t channel_bits(int bits) { return bits > 0 ? (uint64_t)bits : 0; }

uint64_t hami_array_bytes(const hipChannelFormatDesc *desc, size_t width, size_t height, size_t depth) {
  if (desc == NULL) {
    return 0;
  }
  uint64_t bits = channel_bits(desc->x) + channel_bits(desc->y) + channel_bits(desc->z) + channel_bits(desc->w);
  uint64_t cells = hami_sizes_multiply(hami_sizes_multiply(width, at_least_one(height)), at_least_one(depth));
  return hami_sizes_multiply(cells, bits / BITS_PER_BYTE);
}
