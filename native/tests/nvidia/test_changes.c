/*
 * The host changes the limits of a running program, or stops telling: what is new holds from the next call, what is
 * held stays held, and without news the last word counts. Run inside a share of 1000 MiB.
 */
#include <unistd.h>

#include "share.h"

static char before[4096]; /* the limits file as the host wrote it first */

static void read_limits(void) {
  FILE *file = fopen(getenv("HAMI_LIMITS_FILE"), "r");
  CHECK(file != NULL);
  size_t length = fread(before, 1, sizeof before - 1, file);
  CHECK(length > 0 && fclose(file) == 0);
}

/* As hosts do it: a new file in the old one's place. */
static void write_limits(const char *text) {
  char draft[512];
  (void)snprintf(draft, sizeof draft, "%s.new", getenv("HAMI_LIMITS_FILE"));
  FILE *file = fopen(draft, "w");
  CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
  CHECK(rename(draft, getenv("HAMI_LIMITS_FILE")) == 0);
}

static void set_memory(unsigned int mib) {
  char text[sizeof before + 64];
  char *out = text;
  for (const char *at = before; *at != '\0';) {
    if (strncmp(at, "memory_mib=", 11) == 0) {
      out += sprintf(out, "memory_mib=%u", mib);
      at += 11 + strspn(at + 11, "0123456789");
    } else {
      *out++ = *at++;
    }
  }
  *out = '\0';
  write_limits(text);
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

static void let_the_change_be_seen(void) { (void)usleep(120000); } /* looked for every 50 ms, and before a refusal */

static void a_raised_limit_counts_at_the_next_call(void) {
  CUmemGenericAllocationHandle first;
  CUmemGenericAllocationHandle second;
  CHECK_EQUAL(CUDA_SUCCESS, create(&first, 900 * MIB));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&second, 900 * MIB));
  set_memory(2000);
  CHECK_EQUAL(CUDA_SUCCESS, create(&second, 900 * MIB)); /* at once: nothing is refused on old news */
  let_the_change_be_seen();
  CHECK_EQUAL(2000 * MIB, share_total());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(first));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(second));
}

static void a_lowered_limit_leaves_what_is_held_and_shows_no_negative_numbers(void) {
  CUmemGenericAllocationHandle held;
  CUmemGenericAllocationHandle more;
  size_t available;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, create(&held, 900 * MIB));
  set_memory(500);
  let_the_change_be_seen();
  CHECK_EQUAL(500 * MIB, share_total());
  CHECK_EQUAL(0, share_free());
  CHECK(share_used() <= share_total());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(0, available);
  CHECK_EQUAL(500 * MIB, total);
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&more, 2 * MIB));
  CHECK(device_used() >= 900 * MIB);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(held));
  CHECK_EQUAL(CUDA_SUCCESS, create(&more, 2 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(more));
}

static void expect_limit(unsigned int mib) {
  CUmemGenericAllocationHandle handle;
  let_the_change_be_seen();
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&handle, (mib + 2) * MIB));
  CHECK_EQUAL(mib * MIB, share_total());
}

static void without_news_the_last_word_counts(void) {
  set_memory(700);
  expect_limit(700);
  CHECK(unlink(getenv("HAMI_LIMITS_FILE")) == 0);
  expect_limit(700);
  write_limits("");
  expect_limit(700);
  write_limits("some other text\n");
  expect_limit(700);
  write_limits("hami-limits 1\n");
  expect_limit(700);
}

static void a_host_that_comes_back_is_heard_without_a_restart(void) {
  CHECK(unlink(getenv("HAMI_LIMITS_FILE")) == 0);
  expect_limit(700);
  set_memory(800);
  expect_limit(800);
}

int main(void) {
  read_limits();
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  RUN(a_raised_limit_counts_at_the_next_call);
  set_memory(1000);
  (void)share_open();
  RUN(a_lowered_limit_leaves_what_is_held_and_shows_no_negative_numbers);
  RUN(without_news_the_last_word_counts);
  RUN(a_host_that_comes_back_is_heard_without_a_restart);
  return 0;
}
